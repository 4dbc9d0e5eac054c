"""`mapinvert(map)`: values as keys."""

from __future__ import annotations

from etl.mapping.collections import inverted
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="mapinvert",
    signature="mapinvert(map)",
    summary="The map the other way round: each value's text (of null the empty one) with its key. "
    "Of several keys with one value the smallest stays.",
    group="collections",
    least=1,
    most=1,
    gives="map[string]string",
    kernel=inverted,
    examples=(
        Example("mapinvert(x)", {"x": {"a": "z", "b": 1}}, {"1": "b", "z": "a"}),
        Example("mapinvert(x)", {"x": {"c": "z", "b": "z"}}, {"z": "b"}),
        Example("mapinvert(x)", {"x": {"a": None}}, {"": "a"}),
        Example("mapinvert(x)", {"x": "a"}, "missing"),
        Example("mapinvert(x)", {}, "missing"),
    ),
)
