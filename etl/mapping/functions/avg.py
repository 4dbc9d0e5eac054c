"""`avg(x, ..)`: the average of one record's values."""

from __future__ import annotations

import math

from etl.mapping.conversions import Value, number_of
from etl.mapping.functions import Example, Function


def _average(*values: Value) -> float | None:
    numbers: list[float] = []
    for value in values:
        in_list = isinstance(value, list)
        for item in value if in_list else [value]:
            number = number_of(item) if in_list or not isinstance(item, bool) else None
            if number is not None:
                numbers.append(number)
            elif in_list:
                return None
    # One after the other from the left: the sum of floats depends on their order.
    total = 0.0
    for number in numbers:
        total += number
    return total / len(numbers) if numbers and not math.isnan(total) else None


FUNCTION = Function(
    name="avg",
    signature="avg(x, ..)",
    summary="The average of the arguments and of all elements of lists, within one record. Text that is no number, bools and "
    "maps are skipped; an element of a list that is no number makes it missing.",
    group="numbers",
    least=1,
    most=None,
    gives="number",
    kernel=_average,
    examples=(
        Example("avg(a, b)", {"a": 1, "b": "2"}, 1.5),
        Example("avg(a, b)", {"a": 1, "b": [2, 3]}, 2.0),
        Example("avg(a, b)", {"a": 4, "b": "many"}, 4.0),
        Example("avg(a)", {"a": [1, "many"]}, "missing"),
        Example("avg(a, b)", {}, "missing"),
    ),
)
