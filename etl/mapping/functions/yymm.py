"""`yymm(x)`: year and month of a date as four digits."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def yymm(scope: Scope, *arguments: Any) -> str | None:
    """Four digits."""
    said = said_by(scope, arguments)
    return None if said is None else f"{said.wall.year % 100:02d}{said.wall.month:02d}"


FUNCTION = Function(
    name="yymm",
    signature="yymm([x])",
    summary="The last two digits of the year and the month of a date, or of the message time, as text such as 1404.",
    group="dates",
    least=0,
    most=1,
    gives="string",
    kernel=yymm,
    needs_scope=True,
    parses=True,
    examples=(
        Example("yymm(t)", {"t": "10/13/2014"}, "1410"),
        Example("yymm(t)", {"t": "01/02/2006"}, "0601"),
        Example("yymm()", {}, "1404", "2014-04-07T16:58:55+00:00"),
        Example("yymm(t)", {"t": "hello"}, "missing"),
        Example("yymm(t)", {}, "missing"),
    ),
)
