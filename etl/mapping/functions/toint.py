"""`toint(x)`: a whole number."""

from __future__ import annotations

from etl.mapping.conversions import int_of
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="toint",
    signature="toint(x)",
    summary="A whole number: fractions are cut off; money signs, thousands commas and blanks in text are taken away. Dates "
    "give epoch milliseconds; bools and text like `1e3` are missing.",
    group="numbers",
    least=1,
    most=1,
    gives="int",
    kernel=int_of,
    parses=True,
    examples=(
        Example("toint(x)", {"x": "5.9"}, 5),
        Example("toint(x)", {"x": "$ 5,555.00"}, 5555),
        Example("toint(x)", {"x": -2.7}, -2),
        Example("toint(x)", {"x": ["7", "8"]}, 7),
        Example("toint(x)", {"x": True}, "missing"),
        Example("toint(x)", {"x": "1e3"}, "missing"),
        Example("toint(x)", {}, "missing"),
    ),
)
