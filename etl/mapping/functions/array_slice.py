"""`array.slice(list, from[, to])`: some elements."""

from __future__ import annotations

from etl.mapping.collections import portion
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="array.slice",
    signature="array.slice(list, from[, to])",
    summary="The elements from position `from`, counted from 0, up to but without `to`; negative positions count from the "
    "end. Missing when a position lies outside the list.",
    group="collections",
    least=2,
    most=3,
    gives="any",
    kernel=portion,
    examples=(
        Example("array.slice(x, 1)", {"x": ["a", "b", "c"]}, ["b", "c"]),
        Example("array.slice(x, 0, 2)", {"x": ["a", 2, "c"]}, ["a", 2]),
        Example("array.slice(x, -3, -1)", {"x": ["a", "b", "c"]}, ["a", "b"]),
        Example("array.slice(x, 1, 1)", {"x": ["a", "b"]}, []),
        Example("array.slice(x, 1, 7)", {"x": ["a", "b", "c"]}, "missing"),
        Example("array.slice(x, 1)", {}, "missing"),
    ),
)
