"""`string.substr(x, from[, to])`: some characters."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import portion

FUNCTION = Function(
    name="string.substr",
    signature="string.substr(x, from[, to])",
    summary="The characters from position `from`, counted from 0, up to but without `to`. Missing when either is negative or "
    "beyond the end, or `from` comes after `to`.",
    group="text",
    least=2,
    most=3,
    gives="string",
    kernel=portion,
    examples=(
        Example("string.substr(x, 0, 2)", {"x": "éabc"}, "éa"),
        Example("string.substr(x, 2)", {"x": "abcd"}, "cd"),
        Example("string.substr(x, 4)", {"x": "abcd"}, ""),
        Example("string.substr(x, 1, 9)", {"x": "abcd"}, "missing"),
        Example("string.substr(x, 3, 1)", {"x": "abcd"}, "missing"),
        Example("string.substr(x, 0, 2)", {}, "missing"),
    ),
)
