"""A value to the kind of its field, in Python: the same rules as `text_to_kind` has in SQL."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from etl.mapping.conversions import Value, text_of
from etl.mapping.dates import time_of
from etl.mapping.kinds import BOOLEAN_FALSE, BOOLEAN_TRUE, INT_TEXT, NUMBER_TEXT, Kind

_INT, _NUMBER = re.compile(INT_TEXT), re.compile(NUMBER_TEXT)


def fitted(value: Value, kind: Kind) -> Any:
    """The value as the kind has it: a list's members without repeats, a map without members that do not fit.

    None where nothing fits. A date of a date is kept to the microsecond; a scalar makes a list of one.
    """
    if kind.is_map:
        return _map(value, kind)
    if kind.is_list:
        return _list(value, kind)
    return _scalar(value, kind.name)


def _scalar(value: Value, kind: str) -> Any:
    if kind == "date" and isinstance(value, datetime):
        return value
    text = text_of(value)
    return None if text is None else _READERS[kind](text)


def _list(value: Value, kind: Kind) -> list[Any] | None:
    if isinstance(value, dict):
        return None
    members = value if isinstance(value, list) else [value]
    found = [item for member in members if member not in (None, "") and (item := _scalar(member, str(kind.element))) is not None]
    return list(dict.fromkeys(found)) or None


def _map(value: Value, kind: Kind) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    found = {str(key): item for key, member in value.items() if (item := _scalar(member, str(kind.element))) is not None}
    return found or None


def _int(text: str) -> int | None:
    found = _INT.match(text)
    if found is None or len(found.group(1)) > 25:
        return None
    number = int(found.group(1))
    return number if -(2**63) <= number < 2**63 else None


def _number(text: str) -> float | None:
    found = _NUMBER.match(text)
    number = float(found.group(1)) if found else math.inf
    return number if math.isfinite(number) else None


def _bool(text: str) -> bool | None:
    return True if text in BOOLEAN_TRUE else False if text in BOOLEAN_FALSE else None


def _date(text: str) -> datetime | None:
    return time_of(text, None)


_READERS: dict[str, Callable[[str], Any]] = {
    "string": lambda text: text,
    "int": _int,
    "intsum": _int,
    "number": _number,
    "bool": _bool,
    "date": _date,
}


def as_text(value: Any) -> str:
    """A fitted scalar as the text that SQL casts to its column: a date in ISO form, a number with all its digits."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
