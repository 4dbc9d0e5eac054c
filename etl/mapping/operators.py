"""What the operators do with two values. Rules: lql.md 3.3; None is missing.

A comparison is decided by the left side's type. What cannot be compared or computed is missing, never an error.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime

from etl.mapping.conversions import Value, int_of, is_empty, number_in, number_of, text_of
from etl.mapping.dates import time_of
from etl.mapping.globs import like
from etl.mapping.kinds import BOOLEAN_FALSE, BOOLEAN_TRUE

_ORDER: dict[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_MEMBER = ("IN", "INTERSECTS")
_ARITHMETIC = ("+", "-", "*", "/", "%")

# Numbers written in text, next to a number: as they stand, without the money signs that a cast takes away.
_INT_TEXT = re.compile("[+-]?[0-9]{1,19}")
_PLAIN = str.maketrans(dict.fromkeys("$,£€ ", "!"))


def operate(name: str, left: Value, right: Value, now: datetime | None) -> Value:
    """`left name right`. `now` anchors date math such as `"now-3d"`."""
    if name in ("AND", "OR"):
        return _logical(name, left, right)
    if left is None or right is None:
        return _with_missing(name, left, right)
    if isinstance(left, bool):
        return _ORDER[name](left, right) if isinstance(right, bool) and name in ("==", "!=") else None
    if isinstance(left, int | float):
        return _number_left(name, left, right)
    if isinstance(left, str):
        return _text_left(name, left, right, now)
    if isinstance(left, datetime):
        return _date_left(name, left, right, now)
    if isinstance(left, list):
        return _list_left(name, left, right, now)
    if isinstance(left, dict) and isinstance(right, list) and name in _MEMBER:
        return any(text_of(item) in left for item in right)
    return None


def between(value: Value, low: Value, high: Value, now: datetime | None) -> bool | None:
    """Both ends exclusive; for ints, floats and dates (by whole seconds)."""
    if isinstance(value, bool) or low is None or high is None:
        return None
    if isinstance(value, datetime):
        first, last = time_of(low, now), time_of(high, now)
        return None if first is None or last is None else _second(first) < _second(value) < _second(last)
    if isinstance(value, int | float):
        least, most = (int_of(low), int_of(high)) if isinstance(value, int) else (number_of(low), number_of(high))
        return None if least is None or most is None else least < value < most
    return None


def negative(value: Value) -> int | float | None:
    return -value if isinstance(value, int | float) and not isinstance(value, bool) else None


def negated(value: Value) -> bool | None:
    return not value if isinstance(value, bool) else None


def is_null(value: Value) -> bool:
    """Missing, null, or empty text."""
    return value is None or value == ""


def _logical(name: str, left: Value, right: Value) -> bool | None:
    """Whatever is not true counts as false; only AND of two missing sides is missing."""
    if name == "OR":
        return left is True or right is True
    return None if left is None and right is None else left is True and right is True


def _with_missing(name: str, left: Value, right: Value) -> bool | None:
    if name == "!=":
        return left is not None or right is not None
    if name in _ORDER or name == "LIKE":
        return False
    if name in _MEMBER:
        return False if left is None or (right is None and left is not None) else None
    return False if name == "CONTAINS" and left is None else None


def _number_left(name: str, left: float, right: Value) -> Value:
    if isinstance(right, list):
        return _number_and_list(name, left, right)
    if isinstance(right, str):
        right = _plain_number_in(right)
    if isinstance(right, bool) or not isinstance(right, int | float):
        return None
    return _numbers(name, left, right)


def _number_and_list(name: str, left: float, right: list[Value]) -> bool | None:
    if name in _MEMBER:
        return any(_same_number(left, item) for item in right)
    return any(_number_left(name, left, item) for item in right if not isinstance(item, list)) if name == "==" else None


def _plain_number_in(text: str) -> float | int | None:
    if _INT_TEXT.fullmatch(text) and (whole := int_of(text)) is not None:
        return whole
    return number_in(text.translate(_PLAIN))


def _same_number(left: float, item: Value) -> bool:
    other = int_of(item) if isinstance(left, int) else number_of(item)
    return other is not None and other == left


def _numbers(name: str, left: float, right: float) -> Value:
    if name in _ORDER:
        return _ORDER[name](left, right)
    if name not in _ARITHMETIC:
        return None
    try:
        return _computed(name, left, right)
    except (OverflowError, ValueError):
        return None


def _computed(name: str, left: float, right: float) -> Value:
    if name == "%":
        whole, by = int(left), int(right)
        if by == 0:
            return None
        rest = abs(whole) % abs(by) * (-1 if whole < 0 else 1)
        return rest if isinstance(left, int) and isinstance(right, int) else float(rest)
    if name == "/":
        if right == 0:
            return None if isinstance(left, int) and isinstance(right, int) else _by_zero(left, right)
        if isinstance(left, int) and isinstance(right, int):
            return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return left / right
    value = left + right if name == "+" else left - right if name == "-" else left * right
    return None if isinstance(value, float) and math.isnan(value) else value


def _by_zero(left: float, right: float) -> float | None:
    if left == 0 or math.isnan(left):
        return None
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _text_left(name: str, left: str, right: Value, now: datetime | None) -> Value:
    if isinstance(right, str):
        return _two_texts(name, left, right)
    if isinstance(right, list):
        return _text_and_list(name, left, right)
    if isinstance(right, bool):
        return _text_and_bool(name, left, right)
    if isinstance(right, dict):
        return left in right if name in _MEMBER else None
    if isinstance(right, datetime):
        moment = time_of(left, now)
        return None if moment is None else _dates(name, moment, right)
    number = number_in(left)
    if number is None:
        # Text that is no number differs from every number.
        return name == "!=" if name in _ORDER else None
    return _numbers(name, number, float(right) if abs(right) < 2**1000 else right)


def _two_texts(name: str, left: str, right: str) -> bool | None:
    if name in ("==", "!="):
        return _ORDER[name](left, right)
    if name in _MEMBER:
        return left == right
    if name == "CONTAINS":
        return right in left
    return like(left, right) if name == "LIKE" else None


def _text_and_list(name: str, left: str, right: list[Value]) -> bool | None:
    texts = [text for item in right if (text := text_of(item)) is not None]
    if name in _MEMBER:
        return left in texts
    if name == "CONTAINS":
        return any(text in left for text in texts)
    return any(like(left, text) for text in texts) if name == "LIKE" else None


def _text_and_bool(name: str, left: str, right: bool) -> bool | None:
    is_word = left in BOOLEAN_TRUE or left in BOOLEAN_FALSE
    if is_word and name in ("==", "!="):
        return _ORDER[name](left in BOOLEAN_TRUE, right)
    return False if name in ("==", "IN", "INTERSECTS", "CONTAINS", "LIKE") else None


def _list_left(name: str, left: list[Value], right: Value, now: datetime | None) -> bool | None:
    if name in _ORDER:
        if not left:
            return False
        if isinstance(left[0], datetime):
            moment = time_of(right, now)
            dates = [item for item in left if isinstance(item, datetime)]
            return None if moment is None else any(_dates(name, item, moment) for item in dates)
        return False if name == "==" else None
    if name in _MEMBER:
        return any(same(item, other) for item in left for other in right) if isinstance(right, list) else None
    if name == "CONTAINS":
        return _list_contains(left, right)
    if name == "LIKE" and isinstance(right, str):
        return any(like(text, right) for item in left if (text := text_of(item)) is not None)
    return None


def _list_contains(left: list[Value], right: Value) -> bool | None:
    if isinstance(right, int) and not isinstance(right, bool):
        return any(int_of(item) == right for item in left)
    part = text_of(right) if isinstance(right, str | bool) else None
    if part is None:
        return None
    return any(part in text for item in left if (text := text_of(item)) is not None)


def same(left: Value, right: Value) -> bool:
    """Whether two members of lists are equal: texts with the text form of the other, numbers as numbers."""
    if is_empty(left) or is_empty(right):
        return bool(left == right)
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) == text_of(right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _date_left(name: str, left: datetime, right: Value, now: datetime | None) -> bool | None:
    moment = time_of(right, now)
    return None if moment is None else _dates(name, left, moment)


def _dates(name: str, left: datetime, right: datetime) -> bool | None:
    """Dates are compared by whole seconds."""
    return _ORDER[name](_second(left), _second(right)) if name in _ORDER else None


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
