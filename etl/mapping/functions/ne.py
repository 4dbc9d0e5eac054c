"""`ne(a, b)`: not equal."""

from __future__ import annotations

from etl.mapping.comparisons import equal
from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function


def _differ(left: Value, right: Value) -> bool | None:
    same = equal(left, right)
    return None if same is None else not same


FUNCTION = Function(
    name="ne",
    signature="ne(a, b)",
    summary="Whether two values differ: the opposite of `eq`, and missing where `eq` is.",
    group="logic",
    least=2,
    most=2,
    gives="bool",
    kernel=_differ,
    examples=(
        Example('ne(a, "x")', {"a": "y"}, True),
        Example("ne(a, 5)", {"a": "5"}, False),
        Example('ne(a, "x")', {}, True),
        Example("ne(a, b)", {}, False),
        Example("ne(a, 1)", {"a": {"b": 1}}, "missing"),
    ),
)
