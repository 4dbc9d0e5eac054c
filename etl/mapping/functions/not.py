"""`not(x)`: the opposite."""

from __future__ import annotations

from etl.mapping.conversions import Value, bool_of
from etl.mapping.functions import Example, Function


def _not(value: Value) -> bool | None:
    truth = bool_of(value)
    return None if truth is None else not truth


FUNCTION = Function(
    name="not",
    signature="not(x)",
    summary="The opposite of a bool; boolean words and the numbers 1 and 0 count as bools. Missing for anything else.",
    group="logic",
    least=1,
    most=1,
    gives="bool",
    kernel=_not,
    examples=(
        Example("not(x)", {"x": True}, False),
        Example("not(x)", {"x": "f"}, True),
        Example("not(x)", {"x": 0}, True),
        Example("not(x)", {"x": "no"}, "missing"),
        Example("not(x)", {}, "missing"),
    ),
)
