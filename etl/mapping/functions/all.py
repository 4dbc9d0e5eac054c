"""`all(x, ..)`: every value counts as true."""

from __future__ import annotations

from etl.mapping.comparisons import is_true
from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function


def _all(*values: Value) -> bool:
    return all(map(is_true, values))


FUNCTION = Function(
    name="all",
    signature="all(x, ..)",
    summary="Whether all arguments are there and none is empty, false or 0.",
    group="logic",
    least=1,
    most=None,
    gives="bool",
    kernel=_all,
    examples=(
        Example("all(a, b)", {"a": "x", "b": -1}, True),
        Example("all(a, b)", {"a": "x", "b": 0}, False),
        Example("all(a, b)", {"a": "x", "b": False}, False),
        Example("all(a, b)", {"a": "x", "b": ""}, False),
        Example("all(a, b)", {"a": "x"}, False),
    ),
)
