"""`any(x, ..)`: at least one value."""

from __future__ import annotations

from etl.mapping.conversions import Value, is_empty
from etl.mapping.functions import Example, Function


def _any(*values: Value) -> bool:
    return not all(map(is_empty, values))


FUNCTION = Function(
    name="any",
    signature="any(x, ..)",
    summary="Whether one of the arguments is there and not empty; 0 and false are there.",
    group="logic",
    least=1,
    most=None,
    gives="bool",
    kernel=_any,
    examples=(
        Example("any(a, b)", {"b": "x"}, True),
        Example("any(a)", {"a": False}, True),
        Example("any(a, b)", {"a": "", "b": []}, False),
        Example("any(a, b)", {}, False),
    ),
)
