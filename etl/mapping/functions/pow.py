"""`pow(x, y)`: a power."""

from __future__ import annotations

import math

from etl.mapping.conversions import Value, number_of
from etl.mapping.functions import Example, Function


def _power(base: Value, exponent: Value) -> float | None:
    number, power = number_of(base), number_of(exponent)
    if number is None or power is None:
        return None
    try:
        return math.pow(number, power)
    except OverflowError:
        pass
    except ValueError:  # of a negative base there is no root; 0 to a negative power is infinite
        if number != 0:
            return None
    return math.copysign(math.inf, number) if power % 2 == 1 else math.inf


FUNCTION = Function(
    name="pow",
    signature="pow(x, y)",
    summary="x to the power of y. Missing when either is no number or the result is none, as of `pow(-8, 0.5)`.",
    group="numbers",
    least=2,
    most=2,
    gives="number",
    kernel=_power,
    examples=(
        Example("pow(x, 2)", {"x": 5}, 25.0),
        Example('pow(x, "-1")', {"x": "4"}, 0.25),
        Example("pow(x, 0.5)", {"x": -8}, "missing"),
        Example('pow(x, "a")', {"x": 5}, "missing"),
        Example("pow(x, 2)", {}, "missing"),
    ),
)
