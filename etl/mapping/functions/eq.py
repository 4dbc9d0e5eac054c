"""`eq(a, b)`: equal."""

from __future__ import annotations

from etl.mapping.comparisons import equal
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="eq",
    signature="eq(a, b)",
    summary="Whether two values are equal, in either order: text beside a number, bool or date is read as one, a bool is 1 "
    "or 0. Two missing values are equal. Missing for maps, and for a list beside something else.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=equal,
    examples=(
        Example('eq(a, "x")', {"a": "x"}, True),
        Example("eq(a, 5)", {"a": "5.0"}, True),
        Example("eq(1, true)", {}, True),
        Example("eq(a, b)", {"a": [1, "x"], "b": ["1", "x"]}, True),
        Example('eq(a, "")', {}, False),
        Example("eq(a, b)", {}, True),
        Example('eq(a, "x")', {"a": ["x"]}, "missing"),
    ),
)
