"""`mapct(map, ..)`: how often each key is used."""

from __future__ import annotations

from etl.mapping.collections import key_counts
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="mapct",
    signature="mapct(map, ..)",
    summary="A map that counts each key of the maps whose value is not empty. With kind `map[string]intsum` the counts add "
    "up, as those of `valuect` do for values.",
    group="collections",
    least=1,
    most=None,
    gives="map[string]intsum",
    kernel=key_counts,
    examples=(
        Example("mapct(x)", {"x": {"a": "z", "b": 0}}, {"a": 1, "b": 1}),
        Example("mapct(x, y)", {"x": {"a": 1}, "y": {"a": 2, "b": 3}}, {"a": 2, "b": 1}),
        Example("mapct(x)", {"x": {"a": "", "b": None, "c": False}}, {"c": 1}),
        Example("mapct(x)", {"x": "a"}, "missing"),
        Example("mapct(x)", {}, "missing"),
    ),
)
