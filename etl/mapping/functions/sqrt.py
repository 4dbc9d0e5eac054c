"""`sqrt(x)`: the square root."""

from __future__ import annotations

import math

from etl.mapping.conversions import Value, number_of
from etl.mapping.functions import Example, Function


def _sqrt(value: Value) -> float | None:
    number = None if isinstance(value, str | bool) else number_of(value)
    return math.sqrt(number) if number is not None and number >= 0 else None


FUNCTION = Function(
    name="sqrt",
    signature="sqrt(x)",
    summary="The square root of a number. Missing for text and for negative numbers.",
    group="numbers",
    least=1,
    most=1,
    gives="number",
    kernel=_sqrt,
    examples=(
        Example("sqrt(x)", {"x": 25}, 5.0),
        Example("sqrt(tonumber(x))", {"x": "2.25"}, 1.5),
        Example("sqrt(x)", {"x": "25"}, "missing"),
        Example("sqrt(x)", {"x": -4}, "missing"),
        Example("sqrt(x)", {}, "missing"),
    ),
)
