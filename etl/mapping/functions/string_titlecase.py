"""`string.titlecase(x)`: a capital at each word's start."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import titled

FUNCTION = Function(
    name="string.titlecase",
    signature="string.titlecase(x)",
    summary="The text with each word's first letter as a capital; the other letters stay as they are.",
    group="text",
    least=1,
    most=1,
    gives="string",
    kernel=titled,
    examples=(
        Example("string.titlecase(x)", {"x": "new york"}, "New York"),
        Example("string.titlecase(x)", {"x": "iPHONE-se 3rd_gen"}, "IPHONE-Se 3rd_gen"),
        Example("string.titlecase(x)", {"x": "éric o'neil"}, "Éric O'Neil"),
        Example("string.titlecase(x)", {"x": ["a b", "c"]}, "A B"),
        Example("string.titlecase(x)", {}, "missing"),
    ),
)
