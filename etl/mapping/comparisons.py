"""The kernels of the functions that compare two values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime

from etl.mapping.conversions import Value, bool_of, epoch_milliseconds, int_of, is_empty, number_in, number_of, text_of


def equal(left: Value, right: Value) -> bool | None:
    """Whether two values are the same, the same both ways round; None for a map, and for a list beside anything else.

    Text is read as what stands beside it: a number, a bool, a date. A bool is the number 1 or 0.
    """
    if left is None or right is None:
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return None
    if isinstance(left, datetime):
        return _is_moment(left, right)
    if isinstance(right, datetime):
        return _is_moment(right, left)
    if isinstance(left, str) == isinstance(right, str):
        return bool(left == right)
    return _reads_as(left, right) if isinstance(left, str) else _reads_as(right, left)


def _reads_as(text: str, value: bool | int | float) -> bool:
    if isinstance(value, bool):
        return bool_of(text) is value
    if isinstance(value, float):
        return number_in(text) == value
    # As text it may have more digits than an int that is read; and `1e3` is no int.
    return text == text_of(value) or (int_of(text) == value and number_in(text) == number_of(value))


def _is_moment(moment: datetime, value: Value) -> bool:
    """A date is the same instant, its epoch milliseconds, or what is read as that date."""
    from etl.mapping.dates import time_of

    if isinstance(value, datetime):
        return moment == value
    if isinstance(value, bool):
        return False
    return number_of(value) == epoch_milliseconds(moment) or time_of(value, None) == moment


def ordered(order: Callable[[float, float], bool]) -> Callable[[Value, Value], bool | None]:
    """A comparison of two numbers: bools are 1 and 0, dates epoch milliseconds, texts what they read as."""

    def compare(left: Value, right: Value) -> bool | None:
        one, other = number_of(left), number_of(right)
        return None if one is None or other is None else order(one, other)

    return compare


greater = ordered(operator.gt)
greater_or_equal = ordered(operator.ge)
less = ordered(operator.lt)
less_or_equal = ordered(operator.le)


def is_true(value: Value) -> bool:
    """Present, not empty, and neither false nor 0."""
    return not is_empty(value) and not (isinstance(value, bool | int | float) and value == 0)
