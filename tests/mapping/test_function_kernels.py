"""The functions on text, numbers, logic, lists and maps: invariants over any values, and globs against a plain matcher."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.mapping import MISSING, evaluate
from etl.mapping.comparisons import equal
from etl.mapping.conversions import is_empty, single_text, text_of
from etl.mapping.globs import like
from etl.mapping.registry import functions
from etl.mapping.scope import Scope

NAMES = sorted(name for name, function in functions().items() if function.group in ("text", "numbers", "logic", "collections"))

_WORDS = [
    "",
    "a",
    "b",
    "a,b",
    "5",
    "5.0",
    "$5",
    "1e3",
    "inf",
    "nan",
    "1e999",
    "true",
    "t",
    "2020-02-03",
    "now-3d",
    "a*",
    "**",
    "[a",
    "int",
    "time",
    "é",
]
_INTS = st.integers() | st.sampled_from([0, 1, -1, 2, -(2**31), 2**63, 10**400])
_SCALARS = (
    st.none() | st.booleans() | _INTS | st.floats() | st.text(max_size=8) | st.sampled_from(_WORDS) | st.datetimes(timezones=st.just(UTC))
)
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=3), max_leaves=8
)


def _called(name: str, *arguments: Any) -> Any:
    function = functions()[name]
    return function.kernel(*([Scope({}, datetime(2024, 1, 2, tzinfo=UTC))] if function.needs_scope else []), *arguments)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_kernel_raises_nothing_and_gives_a_value_of_its_kind(name: str, data: st.DataObject) -> None:
    function = functions()[name]
    most = function.least + 2 if function.most is None else function.most
    arguments = data.draw(st.lists(VALUES, min_size=function.least, max_size=most))
    value = _called(name, *arguments)
    kinds = {"string": str, "int": int, "number": float, "bool": bool, "[]string": list}
    wanted = dict if function.is_map else kinds.get(function.gives, object)
    assert value is None or type(value) is wanted or wanted is object
    assert not (isinstance(value, float) and math.isnan(value) and function.gives == "number")


@settings(deadline=None)
@given(VALUES, VALUES)
def test_eq_is_symmetric_and_ne_its_opposite(left: Any, right: Any) -> None:
    same = equal(left, right)
    assert same == equal(right, left)
    assert _called("ne", left, right) == (None if same is None else not same)


@settings(deadline=None)
@given(VALUES)
def test_a_value_is_seen_alike_by_all_functions_that_ask_for_presence(value: Any) -> None:
    present = not is_empty(value)
    assert _called("any", value) is present
    assert _called("count", value) == (1 if present else None)
    assert _called("oneof", value, "other") == (value if present else "other")
    assert not _called("all", value) or present


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_joined_parts_are_the_text(text: str, separator: str) -> None:
    parts = _called("split", text, separator)
    assert _called("join", parts, separator) == (text or None)


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_found_part_stands_where_it_was_found(text: str, part: str) -> None:
    at = _called("string.index", text, part)
    assert (at is not None) == (text != "" and part in text)
    if at is not None:
        assert _called("string.substr", text, at, at + len(part)) == part


@settings(deadline=None)
@given(st.text())
def test_case_changes_keep_the_length(text: str) -> None:
    assert [len(_called(name, text)) for name in ("tolower", "string.uppercase", "string.titlecase")] == [len(text)] * 3


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), min_size=1), st.lists(st.text(max_size=3), min_size=1, max_size=3))
def test_filter_and_filtermatch_share_a_list_out(items: list[str], patterns: list[str]) -> None:
    patterns = [pattern for pattern in patterns if pattern] or ["a"]
    left, kept = _called("filter", items, *patterns) or [], _called("filtermatch", items, *patterns) or []
    assert sorted(left + kept) == sorted(items)


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_unsign_keeps_the_bits(number: int) -> None:
    assert int(_called("unsign", number)) == number % 2**64
    assert _called("unsign", str(number)) == _called("unsign", number)


@pytest.mark.parametrize(
    ("value", "whole", "one"),
    [
        ("", "", ""),
        (1e21, "1000000000000000000000", "1000000000000000000000"),
        (datetime(2020, 2, 3, 4, 5, 6, 789000, tzinfo=UTC), "1580702706789", "2020-02-03 04:05:06.789 +0000 UTC"),
        ([datetime(1970, 1, 1, tzinfo=UTC), "a"], "0,a", "0"),
        ({"at": [datetime(1970, 1, 1, tzinfo=UTC)], "n": math.nan}, '{"at":[0],"n":null}', None),
        ([None, "a"], "a", None),
        ([], None, None),
        (math.nan, None, None),
    ],
)
def test_text_forms(value: Any, whole: str | None, one: str | None) -> None:
    assert text_of(value) == whole
    assert single_text(value) == one


def test_an_int_with_more_digits_than_python_prints_has_no_text() -> None:
    assert text_of(10**5000) is text_of({"a": [10**5000]}) is None


@pytest.mark.parametrize(
    ("base", "exponent", "value"),
    [
        (10.0, 400, math.inf),
        (-10.0, 401, -math.inf),
        (-10.0, 400, math.inf),
        (0.0, -1, math.inf),
        (-0.0, -1, -math.inf),
        (-0.0, -2, math.inf),
    ],
)
def test_powers_beyond_all_floats_are_infinite(base: float, exponent: int, value: float) -> None:
    assert _called("pow", base, exponent) == value


GLOBS = [
    ("a/b/c", "a/**/c", True),
    ("a/b/c", "a/*/c", True),
    ("a/b/c", "a/*", False),
    ("a/ab", "**a*b", True),
    ("a/c", "a?c", False),
    ("abc", "a%", True),
    ("a_b", "a_b", True),
    ("axb", "a_b", False),
    ("x", "[a-z]", True),
    ("X", "[^a-z]", True),
    ("/", "[^a]", True),
    ("-", "[a\\-z]", True),
    ("b", "[a\\-z]", False),
    ("b", "[c-a]", False),
    ("b", "[^c-a]", True),
    ("!", "[!a]", True),
    ("*", "[*]", True),
    ("a*", "a\\*", True),
    ("ab", "a\\*", False),
    ("a]", "a]", True),
    ("a\n", "a", False),
    ("a\nb", "a*b", True),
    ("", "*", True),
    ("", "", True),
    ("/", "**", True),
    ("ab", "[a", None),
    ("", "[a", False),
    ("b", "a[b", False),
    ("ab", "a[b", None),
    ("a", "[]", None),
    ("a", "[^]", None),
    ("a", "[a-]", None),
    ("a", "[-a]", None),
    ("a\\", "a\\", None),
]


@pytest.mark.parametrize(("text", "pattern", "matches"), GLOBS)
def test_globs(text: str, pattern: str, matches: bool | None) -> None:
    assert like(text, pattern) is matches


@settings(deadline=None, max_examples=500)
@given(st.text("ab/é", max_size=8), st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "é"]), max_size=7).map("".join))
@example("a/ab", "**a*b")
def test_globs_agree_with_a_plain_matcher(text: str, pattern: str) -> None:
    @cache
    def matches(t: int, p: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            end = p + len(pattern[p:]) - len(pattern[p:].lstrip("*"))
            return matches(t, end) or (t < len(text) and (text[t] != "/" or end - p > 1) and matches(t + 1, p))
        return t < len(text) and (text[t] == pattern[p] or (pattern[p] == "?" and text[t] != "/")) and matches(t + 1, p + 1)

    assert like(text, pattern) is matches(0, 0)


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()
    for pattern in ("*a" * 30 + "b", "**a" * 30 + "b", "**a*" * 10 + "b", "**a*a**" * 10 + "b", "a*" * 30 + "[b"):
        like("a" * 3000, pattern)
    assert time.perf_counter() - started < 5


def test_names_work_in_any_case_and_under_their_aliases() -> None:
    assert evaluate("String.LowerCase(x)", {"x": "A"}) == evaluate("ToLower(x)", {"x": "A"}) == "a"
    assert evaluate("string.split(string.strip(x), ',')", {"x": " a,b "}) == ["a", "b"]
    assert evaluate("CHAR_LENGTH(x)", {"x": "abc"}) == 3
    assert evaluate("cast(x AS char)", {"x": 5}) == evaluate('cast(x, "char")', {"x": 5}) == "5"
    assert evaluate("cast(x AS number)", {"x": 5}) is MISSING
