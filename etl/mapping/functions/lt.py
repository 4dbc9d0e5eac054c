"""`lt(a, b)`: a is less than b."""

from __future__ import annotations

from etl.mapping.comparisons import less
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="lt",
    signature="lt(a, b)",
    summary="Whether a is less than b, as numbers; texts that read as numbers count. Missing for any other text, lists, maps "
    "and missing values.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=less,
    examples=(
        Example("lt(a, 4)", {"a": 5}, False),
        Example("lt(a, 5.0)", {"a": "5"}, False),
        Example('lt(a, "x")', {"a": 5}, "missing"),
        Example("lt(a, 5)", {"a": "2024-05-01"}, "missing"),
        Example("lt(a, 5)", {}, "missing"),
    ),
)
