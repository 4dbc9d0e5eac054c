"""`tostring(x)`: any value as text."""

from __future__ import annotations

from etl.mapping.conversions import text_of
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="tostring",
    signature="tostring(x)",
    summary="The text form: numbers as plain decimals, a date as epoch milliseconds, a list joined by comma, an object as JSON.",
    group="text",
    least=1,
    most=1,
    gives="string",
    kernel=text_of,
    examples=(
        Example("tostring(x)", {"x": 1e21}, "1000000000000000000000"),
        Example("tostring(x)", {"x": False}, "false"),
        Example("tostring(x)", {"x": ["a", 1, None]}, "a,1"),
        Example("tostring(x)", {"x": {"a": [1]}}, '{"a":[1]}'),
        Example("tostring(x)", {"x": ""}, ""),
        Example("tostring(x)", {}, "missing"),
    ),
)
