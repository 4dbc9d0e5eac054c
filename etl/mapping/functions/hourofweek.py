"""`hourofweek(x)`: the hour of the week of a date."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def hourofweek(scope: Scope, *arguments: Any) -> int | None:
    """0 for the first hour of Sunday to 167 for the last of Saturday."""
    said = said_by(scope, arguments)
    return None if said is None else said.wall.isoweekday() % 7 * 24 + said.wall.hour


FUNCTION = Function(
    name="hourofweek",
    signature="hourofweek([x])",
    summary="The hour of the week of a date, or of the message time, 0 to 167, counted from Sunday 00:00.",
    group="dates",
    least=0,
    most=1,
    gives="int",
    kernel=hourofweek,
    needs_scope=True,
    parses=True,
    examples=(
        Example("hourofweek(t)", {"t": "Apr 7, 2014 4:58:55 PM"}, 40),
        Example("hourofweek(t)", {"t": "2024-05-04 23:59"}, 167),
        Example("hourofweek()", {}, 40, "2014-04-07T16:58:55+00:00"),
        Example("hourofweek(t)", {"t": "hello"}, "missing"),
        Example("hourofweek(t)", {}, "missing"),
    ),
)
