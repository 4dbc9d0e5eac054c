"""`gt(a, b)`: a is greater than b."""

from __future__ import annotations

from etl.mapping.comparisons import greater
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="gt",
    signature="gt(a, b)",
    summary="Whether a is greater than b, as numbers; texts that read as numbers count. Missing for any other text, lists, "
    "maps and missing values.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=greater,
    examples=(
        Example("gt(a, 4)", {"a": 5}, True),
        Example("gt(a, 5.0)", {"a": "5"}, False),
        Example('gt(a, "x")', {"a": 5}, "missing"),
        Example("gt(a, 5)", {"a": "2024-05-01"}, "missing"),
        Example("gt(a, 5)", {}, "missing"),
    ),
)
