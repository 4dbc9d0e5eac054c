"""`unixtrunc(x, unit)`: a date as text, in seconds or milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from etl.mapping.dates import EPOCH, date_of, date_text, epoch_seconds, time_of
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope


def unixtrunc(scope: Scope, value: Any, *unit: Any) -> str | None:
    """Digits, with a point where the unit asks for one."""
    if not unit:
        found = None if isinstance(value, list) and len(value) > 1 else date_of(value)
        return None if found is None else str(epoch_seconds(found))
    found, name = time_of(value, scope.time), date_text(unit[0])
    # The first instant of all is "no time" upstream.
    if found is None or name is None or (found == _NO_TIME and not isinstance(value, datetime)):
        return None
    microseconds = (found - EPOCH) // timedelta(microseconds=1)
    match name.lower():
        case "s" | "seconds":
            return _with_point(microseconds // 1000, 3)
        case "ms" | "milliseconds":
            return str(microseconds // 1000)
        case "sm" | "secondsmicro":
            return _with_point(microseconds, 6)
    return None


_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def _with_point(units: int, digits: int) -> str:
    """Units of a second as seconds; before 1970 a minus sign stands before the whole."""
    whole, rest = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 and whole else ''}{whole}.{rest:0{digits}d}"


FUNCTION = Function(
    name="unixtrunc",
    signature="unixtrunc(x[, unit])",
    summary="A date as a text of digits: whole seconds since 1970; with the unit `s` or `seconds` also milliseconds behind a point,"
    " with `sm` or `secondsmicro` microseconds, with `ms` or `milliseconds` whole milliseconds.",
    group="dates",
    least=1,
    most=2,
    gives="string",
    kernel=unixtrunc,
    needs_scope=True,
    parses=True,
    examples=(
        Example("unixtrunc(t)", {"t": "1438445529707"}, "1438445529"),
        Example('unixtrunc(t, "seconds")', {"t": "1438445529707"}, "1438445529.707"),
        Example('unixtrunc(t, "ms")', {"t": "10/13/2014"}, "1413158400000"),
        Example('unixtrunc(t, "sm")', {"t": "1950-05-08 19:00:00.999998"}, "-620110799.000002"),
        Example('unixtrunc(t, "days")', {"t": "10/13/2014"}, "missing"),
        Example("unixtrunc(t)", {}, "missing"),
    ),
)
