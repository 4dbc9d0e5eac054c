"""`strip(x)`: blanks off both ends."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import stripped

FUNCTION = Function(
    name="strip",
    signature="strip(x)",
    summary="The text without blanks, tabs and line ends around it; of a list of texts, each element. Missing for anything else.",
    group="text",
    least=1,
    most=1,
    gives="any",
    kernel=stripped,
    aliases=("string.strip",),
    examples=(
        Example("strip(x)", {"x": " a b\t\n"}, "a b"),
        Example("strip(x)", {"x": [" a", "b "]}, ["a", "b"]),
        Example("strip(x)", {"x": "  "}, ""),
        Example("strip(x)", {"x": 5}, "missing"),
        Example("strip(x)", {"x": [" a", 1]}, "missing"),
        Example("string.strip(x)", {}, "missing"),
    ),
)
