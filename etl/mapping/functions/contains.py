"""`contains(x, part)`: part of a text."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import contains

FUNCTION = Function(
    name="contains",
    signature="contains(x, part)",
    summary="Whether the text has the part in it, case-sensitively. False when either is missing; missing when either is empty.",
    group="text",
    least=2,
    most=2,
    gives="bool",
    kernel=contains,
    examples=(
        Example('contains(x, "pro")', {"x": "a product"}, True),
        Example('contains(x, "Pro")', {"x": "a product"}, False),
        Example("contains(x, 5)", {"x": 15.5}, True),
        Example('contains(x, "b")', {"x": ["a", "b"]}, False),
        Example('contains(x, "a")', {}, False),
        Example('contains(x, "")', {"x": "a"}, "missing"),
    ),
)
