"""`mapvalues(map)`: values."""

from __future__ import annotations

from etl.mapping.collections import values
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="mapvalues",
    signature="mapvalues(map)",
    summary="The values of a map as text, each once, sorted; null is the empty text.",
    group="collections",
    least=1,
    most=1,
    gives="[]string",
    kernel=values,
    examples=(
        Example("mapvalues(x)", {"x": {"a": "z", "b": 1, "c": "z"}}, ["1", "z"]),
        Example("mapvalues(x)", {"x": {"a": ["p", "q"], "b": True}}, ["p,q", "true"]),
        Example("mapvalues(x)", {"x": {"a": None, "b": 1}}, ["", "1"]),
        Example("mapvalues(x)", {"x": ["a"]}, "missing"),
        Example("mapvalues(x)", {}, "missing"),
    ),
)
