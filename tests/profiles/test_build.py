"""Incremental builds, in any order and after any replacement, give what a plain computation over all records gives."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.lake.layout import Lake
from etl.profiles.build import build_profiles
from tests.profiles import lakes
from tests.profiles.reference import profiles_of

EXAMPLES = int(os.environ.get("PROFILEMILL_EXAMPLES", "8"))

_USERS = st.sampled_from([None, "u1", "u2", "u3", "anonymous"])
_DEVICES = st.sampled_from([None, "d1", "d2", "d3", "d4", "0"])
_RECORD = st.fixed_dictionaries(
    {
        "user": _USERS,
        "device": _DEVICES,
        "time": st.integers(0, 12),
        "city": st.sampled_from([None, "A", "B"]),
        "props": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2),
        "type": st.sampled_from(["", "buy", "see"]),
    }
)
_LOAD = st.lists(_RECORD, max_size=4)
_STEP = st.tuples(st.dictionaries(st.integers(0, 4), _LOAD, min_size=1, max_size=3), st.booleans())


def _same(lake: Lake, state: dict[int, list[dict[str, Any]]]) -> None:
    expected = profiles_of([record for records in state.values() for record in records])
    assert lakes.read(lake) == expected
    conflicts = lakes.read_conflicts(lake)
    assert len(conflicts) == len(set(conflicts)), "a conflict stands twice"
    assert lakes.read_identifiers(lake) == {one: profile.id for profile in expected.values() for one in profile.identifiers}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_STEP, min_size=1, max_size=4))
def test_builds_agree_with_the_reference(steps: list[tuple[dict[int, list[dict[str, Any]]], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        mapping = lakes.mapping_in(Path(folder))
        state: dict[int, list[dict[str, Any]]] = {}
        for hours, build_now in steps:
            lakes.load(lake, mapping, hours)
            state |= hours
            if build_now:
                build_profiles(lake)
                _same(lake, state)
        build_profiles(lake)
        _same(lake, state)
        before = lakes.read(lake)
        build_profiles(lake, full=True)
        assert lakes.read(lake) == before
