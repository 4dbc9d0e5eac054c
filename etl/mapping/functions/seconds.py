"""`seconds(x)`: a date, a duration such as `M10:30` or a number, in seconds."""

from __future__ import annotations

from typing import Any

from etl.mapping.conversions import number_in, number_of
from etl.mapping.dates import epoch_seconds, parse_date
from etl.mapping.functions import Example, Function


def seconds(value: Any) -> float | None:
    """Only texts and numbers count; a date value is none, as upstream."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return number_of(value)
    return _in_text(value) if isinstance(value, str) else None


def _in_text(text: str) -> float | None:
    if (found := parse_date(text)) is not None:
        return float(epoch_seconds(found))
    text = text.removeprefix("M")
    if ":" not in text:
        return _number(text)
    parts = text.split(":")
    if len(parts) != 2:
        return None
    minutes, rest = (_number(part) or 0.0 for part in parts)
    return 60 * minutes + rest if minutes > 0 or rest > 0 else None


def _number(text: str) -> float | None:
    """A number as it is written; money signs and commas are none."""
    return None if any(sign in text for sign in "$,£€ ") else number_in(text)


FUNCTION = Function(
    name="seconds",
    signature="seconds(x)",
    summary="Seconds. A text that is a date gives its seconds since 1970; `10:30` and `M10:30` are minutes and seconds; a number is"
    " itself.",
    group="dates",
    least=1,
    most=1,
    gives="number",
    kernel=seconds,
    parses=True,
    examples=(
        Example("seconds(t)", {"t": "M10:30"}, 630.0),
        Example("seconds(t)", {"t": "00:30"}, 30.0),
        Example("seconds(t)", {"t": 30.6}, 30.6),
        Example("seconds(t)", {"t": "2015/07/04"}, 1435968000.0),
        Example("seconds(t)", {"t": "-45"}, -45.0),
        Example("seconds(t)", {"t": "1:02:03"}, "missing"),
    ),
)
