"""`yy(x)`: the year of a date, as short as people write it."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def yy(scope: Scope, *arguments: Any) -> int | None:
    """The year, less 2000 or 1900 where that leaves something."""
    said = said_by(scope, arguments)
    if said is None:
        return None
    year = said.wall.year
    return year - 2000 if year >= 2000 else year - 1900 if year >= 1900 else year


FUNCTION = Function(
    name="yy",
    signature="yy([x])",
    summary="The year of a date, or of the message time: counted from 2000, before that from 1900, before that in full. The day is "
    "that of the zone the text names.",
    group="dates",
    least=0,
    most=1,
    gives="int",
    kernel=yy,
    needs_scope=True,
    parses=True,
    examples=(
        Example("yy(t)", {"t": "10/13/2014"}, 14),
        Example("yy(t)", {"t": "01/02/1956"}, 56),
        Example("yy(t)", {"t": "1850-01-02"}, 1850),
        Example("yy()", {}, 14, "2014-04-07T16:58:55+00:00"),
        Example("yy(t)", {"t": "hello"}, "missing"),
    ),
)
