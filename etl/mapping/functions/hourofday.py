"""`hourofday(x)`: the hour of a date."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def hourofday(scope: Scope, *arguments: Any) -> int | None:
    """0 to 23."""
    said = said_by(scope, arguments)
    return None if said is None else said.wall.hour


FUNCTION = Function(
    name="hourofday",
    signature="hourofday([x])",
    summary="The hour of a date, or of the message time, 0 to 23, in the zone the text names.",
    group="dates",
    least=0,
    most=1,
    gives="int",
    kernel=hourofday,
    needs_scope=True,
    parses=True,
    examples=(
        Example("hourofday(t)", {"t": "Apr 7, 2014 4:58:55 PM"}, 16),
        Example("hourofday(t)", {"t": "2024-05-01T10:00:00+02:00"}, 10),
        Example("hourofday()", {}, 16, "2014-04-07T16:58:55+00:00"),
        Example("hourofday(t)", {"t": "16:58"}, "missing"),
        Example("hourofday(t)", {}, "missing"),
    ),
)
