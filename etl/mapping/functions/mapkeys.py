"""`mapkeys(map, ..)`: keys."""

from __future__ import annotations

from etl.mapping.collections import keys
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="mapkeys",
    signature="mapkeys(map, ..)",
    summary="The keys of all maps, each once, sorted. Missing when there is none.",
    group="collections",
    least=1,
    most=None,
    gives="[]string",
    kernel=keys,
    examples=(
        Example("mapkeys(x)", {"x": {"b": 1, "a": None}}, ["a", "b"]),
        Example("mapkeys(x, y)", {"x": {"b": 1}, "y": {"a": 1, "b": 2}}, ["a", "b"]),
        Example("mapkeys(x, y)", {"x": "a", "y": {"b": 1}}, ["b"]),
        Example("mapkeys(x)", {"x": {}}, "missing"),
        Example("mapkeys(x)", {}, "missing"),
    ),
)
