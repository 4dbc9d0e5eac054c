"""`exists(x)`: there or not."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function


def _exists(value: Value) -> bool:
    return value is not None


FUNCTION = Function(
    name="exists",
    signature="exists(x)",
    summary="Whether x is there at all: empty text, an empty list and false are.",
    group="logic",
    least=1,
    most=1,
    gives="bool",
    kernel=_exists,
    examples=(
        Example("exists(x)", {"x": "a"}, True),
        Example("exists(x)", {"x": ""}, True),
        Example("exists(x)", {"x": {"a": 1}}, True),
        Example("exists(x)", {"x": None}, False),
        Example("exists(x)", {}, False),
    ),
)
