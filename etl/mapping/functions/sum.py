"""`sum(x, ..)`: the sum of one record's values."""

from __future__ import annotations

import math

from etl.mapping.conversions import Value, is_empty, number_in, number_of
from etl.mapping.functions import Example, Function


def _sum(*values: Value) -> float | None:
    numbers: list[float | None] = []
    for value in values:
        if is_empty(value):
            continue
        if isinstance(value, bool | dict):
            return None
        if isinstance(value, list):
            numbers += [number_of(item) for item in value]
        elif not isinstance(value, str) or number_in(value) is not None:
            numbers.append(number_of(value))
    # One after the other from the left: the sum of floats depends on their order.
    total = 0.0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total if numbers and not math.isnan(total) else None


FUNCTION = Function(
    name="sum",
    signature="sum(x, ..)",
    summary="The sum of the arguments and of all elements of lists, within one record. Text that is no number is skipped; in "
    "a list it makes the sum missing, and so do bools and maps as arguments. Missing without any number.",
    group="numbers",
    least=1,
    most=None,
    gives="number",
    kernel=_sum,
    examples=(
        Example("sum(a, b, c)", {"a": 1, "b": "2.5", "c": "many"}, 3.5),
        Example("sum(a, b)", {"a": 1, "b": [2, "3"]}, 6.0),
        Example("sum(a, b)", {"a": 5, "b": -5}, 0.0),
        Example("sum(a, b)", {"a": 5, "b": [1, "many"]}, "missing"),
        Example("sum(a, b)", {"a": 5, "b": True}, "missing"),
        Example("sum(a, b)", {}, "missing"),
    ),
)
