"""`tonumber(x)`: a number."""

from __future__ import annotations

from etl.mapping.conversions import number_of
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="tonumber",
    signature="tonumber(x)",
    summary="A number: text in decimal or exponent form, money signs, thousands commas and blanks taken away. Bools give 1 "
    "and 0, dates epoch milliseconds.",
    group="numbers",
    least=1,
    most=1,
    gives="number",
    kernel=number_of,
    parses=True,
    examples=(
        Example("tonumber(x)", {"x": "5.90"}, 5.9),
        Example("tonumber(x)", {"x": "€ 1,234.5"}, 1234.5),
        Example("tonumber(x)", {"x": "1e3"}, 1000.0),
        Example("tonumber(x)", {"x": True}, 1.0),
        Example("tonumber(x)", {"x": "many"}, "missing"),
        Example("tonumber(x)", {"x": [5]}, "missing"),
        Example("tonumber(x)", {}, "missing"),
    ),
)
