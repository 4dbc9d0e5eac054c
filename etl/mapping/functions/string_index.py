"""`string.index(x, part)`: the first place."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import position

FUNCTION = Function(
    name="string.index",
    signature="string.index(x, part)",
    summary="Where the part first begins in the text, counted in characters from 0. Missing when it is not in it.",
    group="text",
    least=2,
    most=2,
    gives="int",
    kernel=position,
    examples=(
        Example('string.index(x, "@")', {"x": "ana@example.com"}, 3),
        Example('string.index(x, "b")', {"x": "éb"}, 1),
        Example("string.index(x, 3)", {"x": 123}, 2),
        Example('string.index(x, "z")', {"x": "abc"}, "missing"),
        Example('string.index(x, "z")', {}, "missing"),
    ),
)
