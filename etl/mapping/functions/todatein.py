"""`todatein(x, "Area/City")`: text to an instant, read in a zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from etl.mapping.datemath import check_date_math, is_date_math, read_date_math
from etl.mapping.dates import date_of, date_text
from etl.mapping.dates_zones import zone_named
from etl.mapping.functions import Example, Function, literal_text
from etl.mapping.messages import ExpressionError
from etl.mapping.scope import Scope
from etl.mapping.tree import Call


def todatein(scope: Scope, value: Any, zone: Any) -> datetime | None:
    """The instant of a value; its time of day is that of the zone, unless it names an offset itself."""
    text = date_text(value)
    if text is not None and is_date_math(text):
        return read_date_math(text, scope.time)
    found = zone_named(zone) if isinstance(zone, str) else None
    return None if found is None else date_of(value, found)


def _check(call: Call) -> None:
    zone = call.arguments[1]
    if zone_named(literal_text(call, 1, 'todatein(x, "Europe/Berlin")')) is None:
        raise ExpressionError(
            "E204", "there is no zone of this name", zone.start, zone.end, 'write an IANA name, for example "America/Los_Angeles"'
        )


def _suspect(call: Call) -> None:
    check_date_math(call.arguments[0], in_any_case=False)


FUNCTION = Function(
    name="todatein",
    signature='todatein(x, "Area/City")',
    summary="An instant like todate(x), `now-3d` included, but a time of day without an offset is that of the zone. Gives UTC.",
    group="dates",
    least=2,
    most=2,
    gives="date",
    kernel=todatein,
    needs_scope=True,
    parses=True,
    check=_check,
    suspect=_suspect,
    examples=(
        Example('todatein(t, "America/Los_Angeles")', {"t": "2024-05-01 10:00:00"}, datetime(2024, 5, 1, 17, tzinfo=UTC)),
        Example('todatein(t, "Europe/Berlin")', {"t": "Jan 5, 2024 1:30 PM"}, datetime(2024, 1, 5, 12, 30, tzinfo=UTC)),
        Example('todatein(t, "Europe/Berlin")', {"t": "2024-05-01T10:00:00Z"}, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        Example('todatein("now-3d", "Europe/Berlin")', {}, datetime(2024, 4, 28, tzinfo=UTC), "2024-05-01T00:00:00+00:00"),
        Example('todatein(t, "Europe/Berlin")', {}, "missing"),
    ),
)
