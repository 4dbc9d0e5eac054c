"""`ge(a, b)`: a is at least b."""

from __future__ import annotations

from etl.mapping.comparisons import greater_or_equal
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="ge",
    signature="ge(a, b)",
    summary="Whether a is at least b, as numbers; texts that read as numbers count. Missing for any other text, lists, maps "
    "and missing values.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=greater_or_equal,
    examples=(
        Example("ge(a, 4)", {"a": 5}, True),
        Example("ge(a, 5.0)", {"a": "5"}, True),
        Example('ge(a, "x")', {"a": 5}, "missing"),
        Example("ge(a, 5)", {"a": "2024-05-01"}, "missing"),
        Example("ge(a, 5)", {}, "missing"),
    ),
)
