import importlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.mapping.datemath import read_date_math
from etl.mapping.dates import parse_date, reading_of, time_of
from etl.mapping.dates_zones import zone_named
from etl.mapping.functions import Function
from etl.mapping.layouts import names_year, parse_with_layout
from etl.mapping.messages import ExpressionError
from etl.mapping.scope import Scope
from etl.mapping.tree import Call, Literal, Name

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAMES = (
    *("now", "todate", "todatein", "totimestamp", "seconds", "yy", "mm", "yymm", "dayofweek", "hourofday", "hourofweek"),
    *("strftime", "unixtrunc", "maptime"),
)
DATES: list[Function] = [importlib.import_module(f"etl.mapping.functions.{name}").FUNCTION for name in NAMES]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOW, NOW),
        ("now-3d", at(2024, 4, 28, 12)),
        ("now+1h", at(2024, 5, 1, 13)),
        ("Now+1h", None),
        ("now13h", None),
        ("now", None),
        ("now-soon", None),
        ("2024-05-01", at(2024, 5, 1)),
        (["2024-05-01", "x"], at(2024, 5, 1)),
        ([1714556430], at(2024, 5, 1, 9, 40, 30)),
        ([["2024-05-01"]], None),
        ([], None),
        (1714556430, at(2024, 5, 1, 9, 40, 30)),
        (1714556430.5, at(2024, 5, 1, 9, 40, 30, 500_000)),
        (20240501, at(2024, 5, 1)),
        (2024, at(2024, 1, 1)),
        (1799, None),
        (2121, None),
        ("2121", at(2121, 1, 1)),
        (5, None),
        (2.5, None),
        (10**30, None),
        (float("nan"), None),
        (True, None),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_a_value_as_an_instant(value: Any, expected: datetime | None) -> None:
    assert time_of(value, NOW) == expected


def test_date_math_without_an_anchor_is_missing() -> None:
    assert time_of("now-3d", None) is None
    assert read_date_math("now-3d", None) is None


@pytest.mark.parametrize("text", ["now-9999y", "now+999999999999d", "now+99999999999999999s", "now-999999999999999999M"])
def test_date_math_outside_the_calendar_is_missing(text: str) -> None:
    assert read_date_math(text, NOW) is None


# What the engine drops, misreads or takes for the first of the month; see docs/lql-differences.md.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01 10:00:00 +02", at(2024, 5, 1, 8)),
        ("2024-05-01 10:00:00 -08:00 PST", at(2024, 5, 1, 18)),
        ("2024-05-01 10:00:00.123 -08:00", at(2024, 5, 1, 18, 0, 0, 123_000)),
        ("2024-05-01 10:00:00 -0800 UTC", at(2024, 5, 1, 18)),
        ("May 1, 2024 12:30am", at(2024, 5, 1, 0, 30)),
        ("May 1, 2024 12:30 am", at(2024, 5, 1, 0, 30)),
        ("8th May 2024", at(2024, 5, 8)),
        ("2024-05 ", None),
        ("2024-05-01 hello", None),
        ("2024-05-01 10:00:00 2009", None),
    ],
)
def test_texts_that_the_engine_misreads(text: str, expected: datetime | None) -> None:
    assert parse_date(text) == expected


def test_the_part_of_a_text_before_its_zone_is_kept_for_the_functions_of_a_day() -> None:
    found = reading_of("2024-05-01T23:30:00-05:00")
    assert found is not None
    assert (found.wall.day, found.offset) == (1, timedelta(hours=-5))


@pytest.mark.parametrize("name", ["PDT", "America", "../etc/passwd", "/etc/localtime", "Nowhere/City", "a\0b", "x" * 5000])
def test_names_that_are_no_zone(name: str) -> None:
    assert zone_named(name) is None


def test_zones_of_the_iana_list() -> None:
    assert zone_named("UTC") is UTC
    assert parse_date("2024-07-01 10:00", zone_named("Asia/Tokyo") or UTC) == at(2024, 7, 1, 1)


def call(name: str, *arguments: object) -> Call:
    nodes = tuple(Literal(value, 0, 1) if value is not None else Name(("x",), 0, 1) for value in arguments)  # type: ignore[arg-type]
    return Call(name, nodes, 0, 1)


def checked_by(checked: Call) -> None:
    next(function for function in DATES if function.name == checked.name).check(checked)


@pytest.mark.parametrize(
    ("checked", "code"),
    [
        (call("todate", None, None), "E203"),
        (call("todate", 5, None), "E203"),
        (call("todate", "%Y-%m-%d", None), "E204"),
        (call("todate", "yyyy-MM-dd", None), "E204"),
        (call("todate", "15:04", None), "E204"),
        (call("todate", "", None), "E204"),
        (call("todatein", None, None), "E203"),
        (call("todatein", None, "PDT"), "E204"),
        (call("todatein", "now-3days", "America/Los_Angeles"), "E204"),
        (call("todatein", "NOW-", "America/Los_Angeles"), "E204"),
        (call("todate", "now-3days"), "E204"),
    ],
)
def test_literals_that_can_never_work(checked: Call, code: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        checked_by(checked)
    assert raised.value.code == code
    assert raised.value.hint


@pytest.mark.parametrize(
    "checked",
    [
        call("todate", "2006-01-02", None),
        call("todate", None),
        call("todatein", None, "Europe/Berlin"),
        call("todatein", "now-3d", "UTC"),
    ],
)
def test_literals_that_can_work(checked: Call) -> None:
    checked_by(checked)


DATE_LIKE = st.lists(
    st.sampled_from(
        [*"0123456789-/.:, TZ+'()年月日%", "2024", "05", "now", "May", "Mon", "September", "th", " at ", "PM", "am", "UTC", "CEST", "m=+"]
    ),
    max_size=14,
).map("".join)
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), DATE_LIKE),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([10**400, -(10**400)]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=5
)
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize("function", DATES, ids=lambda function: function.name)
@settings(deadline=None)
@given(data=st.data())
def test_no_value_raises(function: Function, data: st.DataObject) -> None:
    count = data.draw(st.integers(function.least, function.most if function.most is not None else 3))
    arguments = [data.draw(VALUES) for _ in range(count)]
    scope = [Scope({}, data.draw(TIMES))] if function.needs_scope else []
    found = function.kernel(*scope, *arguments)
    if isinstance(found, datetime):
        assert found.utcoffset() == timedelta(0)


@settings(deadline=None)
@given(text=DATE_LIKE, layout=DATE_LIKE, zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]))
def test_no_text_raises(text: str, layout: str, zone: str) -> None:
    found_zone = zone_named(zone)
    assert found_zone is not None
    for found in (parse_date(text, found_zone), parse_with_layout(text, layout), time_of(text, NOW, found_zone)):
        assert found is None or found.utcoffset() == timedelta(0)
    assert parse_with_layout(text, layout) is None or names_year(layout)


@settings(deadline=None)
@given(instant=st.datetimes(timezones=st.just(UTC)))
def test_iso_text_round_trips(instant: datetime) -> None:
    assert parse_date(instant.isoformat()) == instant
    assert parse_date(json.loads(json.dumps(str(instant)))) == instant
    assert parse_with_layout(instant.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0"), "2006-01-02 15:04:05.000000") == instant
