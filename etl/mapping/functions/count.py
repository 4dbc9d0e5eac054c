"""`count(x)`: 1 for a value."""

from __future__ import annotations

from etl.mapping.conversions import Value, is_empty
from etl.mapping.functions import Example, Function


def _count(value: Value) -> int | None:
    return None if is_empty(value) else 1


FUNCTION = Function(
    name="count",
    signature="count(x)",
    summary="1 when x is there and not empty; 0 and false are there. A field with merge operator `sum` counts records with it.",
    group="numbers",
    least=1,
    most=1,
    gives="int",
    kernel=_count,
    examples=(
        Example("count(x)", {"x": "a"}, 1),
        Example("count(x)", {"x": 0}, 1),
        Example("count(x)", {"x": False}, 1),
        Example("count(x)", {"x": ""}, "missing"),
        Example("count(x)", {}, "missing"),
    ),
)
