"""`array.index(list, index)`: one element."""

from __future__ import annotations

from etl.mapping.collections import element
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="array.index",
    signature="array.index(list, index)",
    summary="The element at a position counted from 0; a negative one counts from the end. Missing outside the list.",
    group="collections",
    least=2,
    most=2,
    gives="any",
    kernel=element,
    examples=(
        Example("array.index(x, 1)", {"x": ["a", "b", "c"]}, "b"),
        Example("array.index(x, -1)", {"x": ["a", 2]}, 2),
        Example("array.index(x, 3)", {"x": ["a", "b", "c"]}, "missing"),
        Example("array.index(x, 0)", {"x": "abc"}, "missing"),
        Example("array.index(x, 0)", {}, "missing"),
    ),
)
