"""`oneof(a, b, ..)`: the first value."""

from __future__ import annotations

from etl.mapping.conversions import Value, is_empty
from etl.mapping.functions import Example, Function


def _oneof(*values: Value) -> Value:
    return next((value for value in values if not is_empty(value)), None)


FUNCTION = Function(
    name="oneof",
    signature="oneof(a, b, ..)",
    summary="The first argument that is there and not empty; 0 and false are there.",
    group="logic",
    least=2,
    most=None,
    gives="any",
    kernel=_oneof,
    examples=(
        Example("oneof(a, b)", {"b": "x"}, "x"),
        Example("oneof(a, b)", {"a": "", "b": "x"}, "x"),
        Example("oneof(a, b)", {"a": 0, "b": "x"}, 0),
        Example("oneof(a, b)", {"a": [], "b": ["x"]}, ["x"]),
        Example("oneof(a, b)", {"a": ""}, "missing"),
    ),
)
