"""`replace(x, old[, new])`: every occurrence."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import replaced

FUNCTION = Function(
    name="replace",
    signature="replace(x, old[, new])",
    summary="The text with each `old` replaced by `new`, or taken away without one. A list is joined by comma first.",
    group="text",
    least=2,
    most=3,
    gives="string",
    kernel=replaced,
    examples=(
        Example('replace(x, "-", " ")', {"x": "a-b-c"}, "a b c"),
        Example('replace(x, "/blog")', {"x": "/blog/a"}, "/a"),
        Example('replace(x, 0, "o")', {"x": 100}, "1oo"),
        Example('replace(x, "a", "b")', {"x": ["a", "c"]}, "b,c"),
        Example('replace(x, "a")', {"x": ""}, ""),
        Example('replace(x, "a", "b")', {}, "missing"),
    ),
)
