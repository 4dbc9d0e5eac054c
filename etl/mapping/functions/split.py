"""`split(x, separator)`: one text to many."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import parts

FUNCTION = Function(
    name="split",
    signature="split(x, separator)",
    summary="The parts of a text between separators, untrimmed. Missing when the text or the separator is empty.",
    group="text",
    least=2,
    most=2,
    gives="[]string",
    kernel=parts,
    aliases=("string.split",),
    examples=(
        Example('split(x, ",")', {"x": "a, b,,c"}, ["a", " b", "", "c"]),
        Example('split(x, ",")', {"x": "a"}, ["a"]),
        Example("split(x, 0)", {"x": 1203}, ["12", "3"]),
        Example('split(x, ",")', {"x": ["a,b", "c"]}, ["a", "b"]),
        Example('split(x, "")', {"x": "abc"}, "missing"),
        Example('string.split(x, ",")', {}, "missing"),
    ),
)
