"""`dayofweek(x)`: the day of the week of a date."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def dayofweek(scope: Scope, *arguments: Any) -> int | None:
    """0 for Sunday to 6 for Saturday."""
    said = said_by(scope, arguments)
    return None if said is None else said.wall.isoweekday() % 7


FUNCTION = Function(
    name="dayofweek",
    signature="dayofweek([x])",
    summary="The day of the week of a date, or of the message time: Sunday is 0, Saturday 6.",
    group="dates",
    least=0,
    most=1,
    gives="int",
    kernel=dayofweek,
    needs_scope=True,
    parses=True,
    examples=(
        Example("dayofweek(t)", {"t": "Apr 8, 2014 4:58:55 PM"}, 2),
        Example("dayofweek(t)", {"t": "2024-05-05"}, 0),
        Example("dayofweek()", {}, 1, "2014-04-07T16:58:55+00:00"),
        Example("dayofweek(t)", {"t": "Monday"}, "missing"),
        Example("dayofweek(t)", {}, "missing"),
    ),
)
