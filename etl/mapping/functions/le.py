"""`le(a, b)`: a is at most b."""

from __future__ import annotations

from etl.mapping.comparisons import less_or_equal
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="le",
    signature="le(a, b)",
    summary="Whether a is at most b, as numbers; texts that read as numbers count. Missing for any other text, lists, maps "
    "and missing values.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=less_or_equal,
    examples=(
        Example("le(a, 4)", {"a": 5}, False),
        Example("le(a, 5.0)", {"a": "5"}, True),
        Example('le(a, "x")', {"a": 5}, "missing"),
        Example("le(a, 5)", {"a": "2024-05-01"}, "missing"),
        Example("le(a, 5)", {}, "missing"),
    ),
)
