"""`hasprefix(x, prefix)`."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import starts

FUNCTION = Function(
    name="hasprefix",
    signature="hasprefix(x, prefix)",
    summary="Whether the text starts with the prefix, case-sensitively. False for missing text; missing for an empty prefix.",
    group="text",
    least=2,
    most=2,
    gives="bool",
    kernel=starts,
    examples=(
        Example('hasprefix(x, "ab")', {"x": "ab ab"}, True),
        Example('hasprefix(x, "AB")', {"x": "ab ab"}, False),
        Example("hasprefix(x, 1)", {"x": 101}, True),
        Example('hasprefix(x, "a")', {"x": ["a", "b", "a"]}, True),
        Example('hasprefix(x, "a")', {}, False),
        Example('hasprefix(x, "")', {"x": "a"}, "missing"),
    ),
)
