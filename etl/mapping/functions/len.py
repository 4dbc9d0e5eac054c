"""`len(x)`: how long something is."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import size

FUNCTION = Function(
    name="len",
    signature="len(x)",
    summary="Characters of a text, members of a list or map; 0 for numbers, bools and dates.",
    group="text",
    least=1,
    most=1,
    gives="int",
    kernel=size,
    aliases=("char_length",),
    examples=(
        Example("len(x)", {"x": "café"}, 4),
        Example("len(x)", {"x": ["a", None]}, 2),
        Example("len(x)", {"x": {"a": 1}}, 1),
        Example("len(x)", {"x": 12345}, 0),
        Example("char_length(x)", {"x": ""}, 0),
        Example("len(x)", {}, "missing"),
    ),
)
