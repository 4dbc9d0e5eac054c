"""Hints lead to what is there."""

from __future__ import annotations

import re

import pytest

from etl.errors import MappingError
from etl.mapping import evaluate
from etl.mapping.hints import _KINDS, _MERGES, FUNCTIONS
from etl.mapping.kinds import KINDS, kind_named
from etl.mapping.model import LIST_MERGES, MAP_MERGES, SCALAR_MERGES
from etl.mapping.registry import functions


def test_every_hint_names_what_exists_for_a_name_that_does_not() -> None:
    known = functions()
    aliases = {alias for function in known.values() for alias in function.aliases}
    assert set(FUNCTIONS) & (set(known) | aliases) == set()
    named = [re.match(r"did you mean '(.+)'\?|([\w.]+)\(", hint) for hint in FUNCTIONS.values()]
    assert {found.group(1) or found.group(2) for found in named if found} <= set(known)
    assert set(_KINDS.values()) <= set(KINDS)
    assert [name for name in _KINDS if kind_named(name)] == []
    merges = {*SCALAR_MERGES, *MAP_MERGES, *LIST_MERGES}
    assert (set(_MERGES.values()) <= merges, set(_MERGES) & merges) == (True, set())


@pytest.mark.parametrize("name", ["abs", "foo", "xyz"])
def test_short_names_are_not_guessed_at(name: str) -> None:
    with pytest.raises(MappingError, match="lists all functions"):
        evaluate(f"{name}(x)", {})
