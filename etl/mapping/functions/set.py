"""`set(x)`: distinct values."""

from __future__ import annotations

from etl.mapping.collections import distinct
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="set",
    signature="set(x)",
    summary="The distinct texts of x, or of its elements when it is a list, in their order; empty ones are left out. As a "
    "field of kind `[]string` the set grows with each record.",
    group="collections",
    least=1,
    most=1,
    gives="[]string",
    kernel=distinct,
    examples=(
        Example("set(x)", {"x": ["b", "a", "b", ""]}, ["b", "a"]),
        Example("set(x)", {"x": "a"}, ["a"]),
        Example("set(x)", {"x": [1, "1", True]}, ["1", "true"]),
        Example("set(x)", {"x": {"a": 1}}, "missing"),
        Example("set(x)", {"x": ""}, "missing"),
        Example("set(x)", {}, "missing"),
    ),
)
