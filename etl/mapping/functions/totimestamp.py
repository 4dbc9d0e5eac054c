"""`totimestamp(x)`: a date as seconds since 1970."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import date_of, epoch_seconds
from etl.mapping.functions import Example, Function


def totimestamp(value: Any) -> int | None:
    """Seconds since 1970, negative before."""
    found = date_of(value)
    return None if found is None else epoch_seconds(found)


FUNCTION = Function(
    name="totimestamp",
    signature="totimestamp(x)",
    summary="A date as whole seconds since 1970, fractions cut off towards the past. Reads what todate(x) reads, without date math.",
    group="dates",
    least=1,
    most=1,
    gives="int",
    kernel=totimestamp,
    parses=True,
    examples=(
        Example("totimestamp(t)", {"t": "Apr 7, 2014 4:58:55 PM"}, 1396889935),
        Example("totimestamp(t)", {"t": 1396889935}, 1396889935),
        Example("totimestamp(t)", {"t": "1969-12-31T23:59:59.5Z"}, -1),
        Example("totimestamp(t)", {"t": "hello"}, "missing"),
        Example("totimestamp(t)", {}, "missing"),
    ),
)
