"""`hassuffix(x, suffix)`."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import ends

FUNCTION = Function(
    name="hassuffix",
    signature="hassuffix(x, suffix)",
    summary="Whether the text ends with the suffix, case-sensitively. False for missing text; missing for an empty suffix.",
    group="text",
    least=2,
    most=2,
    gives="bool",
    kernel=ends,
    examples=(
        Example('hassuffix(x, "ab")', {"x": "ab ab"}, True),
        Example('hassuffix(x, "AB")', {"x": "ab ab"}, False),
        Example("hassuffix(x, 1)", {"x": 101}, True),
        Example('hassuffix(x, "a")', {"x": ["a", "b", "a"]}, True),
        Example('hassuffix(x, "a")', {}, False),
        Example('hassuffix(x, "")', {"x": "a"}, "missing"),
    ),
)
