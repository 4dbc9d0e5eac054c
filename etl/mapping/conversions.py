"""How a value of one type is read as another. The rules are those of lql.md 5, its defects (section 14) mended.

A value is text, an int (exact), a float, a bool, an aware UTC datetime, a list or a dict; None is missing (JSON null
too). Every function here gives None where the value cannot be read so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from etl.mapping.kinds import BOOLEAN_FALSE, BOOLEAN_TRUE
from etl.mapping.values import plain_number, text_form

Value = Any

_INT64 = range(-(2**63), 2**63)
_INT = re.compile(r"[+-]?[0-9]+")
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_FLOAT = re.compile(rf"[+-]?(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?|inf|infinity)", re.IGNORECASE)
_HEX_FLOAT = re.compile(r"[+-]?0x[0-9a-f]*\.?[0-9a-f]*p[+-]?[0-9]+", re.IGNORECASE)
_MONEY = str.maketrans("", "", "$,£€ ")


def is_empty(value: Value) -> bool:
    """Missing, or there is nothing in it: empty text, list or map, NaN. False and 0 are not empty."""
    if isinstance(value, str | list | dict):
        return not value
    return value is None or (isinstance(value, float) and math.isnan(value))


def go_time(value: datetime) -> str:
    """A date as one text: `2020-02-03 04:05:06.789 +0000 UTC`."""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    return f"{value.year:04d}-{value:%m-%d %H:%M:%S}{fraction} +0000 UTC"


def epoch_milliseconds(value: datetime) -> int:
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def single_text(value: Value) -> str | None:
    """One text, where a function needs exactly one: a list gives its first element, a map nothing."""
    if isinstance(value, list):
        return text_of(value[0]) if value else None
    if isinstance(value, dict):
        return None
    return go_time(value) if isinstance(value, datetime) else text_of(value)


def texts_of(value: Value) -> list[str] | None:
    """One text for each element of a list, one for a scalar; None for a map, an empty list or missing."""
    if isinstance(value, list):
        return [text_of(item) or "" for item in value] or None
    text = single_text(value)
    return None if text is None else [text]


def text_of(value: Value) -> str | None:
    """The text form: a list joined by comma, a date as epoch milliseconds, an object as compact JSON.

    None for missing, the empty list and NaN.
    """
    if isinstance(value, str):
        return value
    try:
        return text_form(_without_dates(value))
    except (ValueError, RecursionError):  # an int of more digits than Python prints, lists in lists without end
        return None


def _without_dates(value: Value) -> Value:
    """The value with each date in it as epoch milliseconds, and NaN as missing."""
    if isinstance(value, datetime):
        return epoch_milliseconds(value)
    if isinstance(value, list):
        return [_without_dates(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_dates(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def number_in(text: str) -> float | None:
    """A number written in text, as Go reads floats (`1e3`, `.5`, `inf`); then once more without `$ , £ €` and blanks."""
    for candidate in (text, text.translate(_MONEY)):
        if _FLOAT.fullmatch(candidate):
            number = float(candidate)
            return number if math.isfinite(number) or "inf" in candidate.lower() else None
        if _HEX_FLOAT.fullmatch(candidate):
            try:
                return float.fromhex(candidate)
            except (ValueError, OverflowError):
                return None
    return None


def number_of(value: Value) -> float | None:
    """A number: bools are 1 and 0, dates epoch milliseconds, text as `number_in`. Lists and maps are none."""
    if isinstance(value, bool | int):
        return _float(int(value))
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, datetime):
        return float(epoch_milliseconds(value))
    return number_in(value) if isinstance(value, str) else None


def _float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def int_of(value: Value) -> int | None:
    """A 64-bit int: fractions are cut off, a list gives its first element, bools are none (lql.md 6.2)."""
    if isinstance(value, bool | dict):
        return None
    if isinstance(value, list):
        return int_of(value[0]) if value else None
    if isinstance(value, datetime):
        return epoch_milliseconds(value)
    if isinstance(value, str):
        return _int_in(value)
    if isinstance(value, float):
        return _whole(value)
    return value if value is not None and value in _INT64 else None


def _int_in(text: str) -> int | None:
    for candidate in (text, text.translate(_MONEY)):
        if "." in candidate and _FLOAT.fullmatch(candidate):
            return _whole(float(candidate))
        if "." not in candidate and len(candidate) < 25 and _INT.fullmatch(candidate):
            return int(candidate) if int(candidate) in _INT64 else None
    return None


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) and int(value) in _INT64 else None


def bool_of(value: Value) -> bool | None:
    """A bool: its words (1 t T TRUE true True 0 f F FALSE false False), and the numbers 1 and 0, fractions cut off."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return True if value in BOOLEAN_TRUE else False if value in BOOLEAN_FALSE else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    return {0: False, 1: True}.get(value) if isinstance(value, int) else None


def mapped(function: Callable[[str], str | None], value: Value) -> str | None:
    """A function of one text, applied to the value's single text; missing for empty text."""
    text = single_text(value)
    return function(text) if text else None


__all__ = [
    "Value",
    "bool_of",
    "epoch_milliseconds",
    "go_time",
    "int_of",
    "is_empty",
    "mapped",
    "number_in",
    "number_of",
    "plain_number",
    "single_text",
    "text_of",
    "texts_of",
]
