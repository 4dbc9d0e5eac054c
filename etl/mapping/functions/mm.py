"""`mm(x)`: the month of a date."""

from __future__ import annotations

from typing import Any

from etl.mapping.dates import said_by
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def mm(scope: Scope, *arguments: Any) -> int | None:
    """1 for January to 12 for December."""
    said = said_by(scope, arguments)
    return None if said is None else said.wall.month


FUNCTION = Function(
    name="mm",
    signature="mm([x])",
    summary="The month of a date, or of the message time, 1 to 12. The day is that of the zone the text names.",
    group="dates",
    least=0,
    most=1,
    gives="int",
    kernel=mm,
    needs_scope=True,
    parses=True,
    aliases=("monthofyear",),
    examples=(
        Example("mm(t)", {"t": "10/13/2014"}, 10),
        Example("monthofyear(t)", {"t": 1396889935}, 4),
        Example("mm()", {}, 4, "2014-04-07T16:58:55+00:00"),
        Example("mm(t)", {"t": "13/10/2014"}, "missing"),
        Example("mm(t)", {}, "missing"),
    ),
)
