"""Text and numbers to an instant without a layout (lql.md 7.2). Nothing here raises; what is no date is None.

Digits alone count by their number: 4 are a year, 8 `YYYYMMDD`, 14 `YYYYMMDDhhmmss`; 10 are seconds since 1970, 13
milliseconds, 16 microseconds, 19 nanoseconds. An epoch may have a fraction (`1714556430.123`) or be written as
`1.71455643e+09`; its whole digits decide in the same way. So the plausible range of an epoch is 1970 to 2286
(nanoseconds: 2262): everything else, such as `2.5` or nine digits, is a number and no date.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from etl.mapping.conversions import epoch_milliseconds, single_text
from etl.mapping.datemath import is_date_math, read_date_math
from etl.mapping.dates_forms import Reading, read_form, reading
from etl.mapping.dates_zones import in_zone
from etl.mapping.scope import Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile("[0-9]+")
_FRACTION = re.compile(r"([0-9]{10}(?:[0-9]{3}){0,3})\.([0-9]+)")
_SCIENTIFIC = re.compile(r"[0-9]\.[0-9]+e\+?[0-9]{1,2}")
_ISO = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<name>Z)?"
)
# Digits of an epoch, and what one unit of it is in microseconds (19 digits: a thousand units are one).
_EPOCHS = {10: 1_000_000, 13: 1000, 16: 1}
_NANOSECOND_DIGITS = 19
_INT64_MAX = 2**63 - 1
_PLAUSIBLE_YEARS = range(1800, 2121)


@lru_cache(maxsize=8192)
def read_date(text: str) -> Reading | None:
    """What a text says as a date; None when it is none."""
    if iso := _ISO.fullmatch(text):
        return reading(iso.groupdict())
    if _DIGITS.fullmatch(text):
        return _digits(text)
    if found := _FRACTION.fullmatch(text):
        return _epoch(*found.groups())
    if _SCIENTIFIC.fullmatch(text):
        whole = str(int(float(text)))
        return _digits(whole) if len(whole) >= min(_EPOCHS) else None
    return read_form(text)


def _digits(text: str) -> Reading | None:
    if len(text) == 4:
        return reading({"year": text})
    if len(text) in (8, 14):
        names = ("year", "month", "day", "hour", "minute", "second")
        pairs = (text[:4], *(text[at : at + 2] for at in range(4, len(text), 2)))
        return reading(dict(zip(names, pairs, strict=False)))
    return _epoch(text, "")


def _epoch(whole: str, fraction: str) -> Reading | None:
    if len(whole) == _NANOSECOND_DIGITS and int(whole) <= _INT64_MAX:
        microseconds = int(whole) // 1000
    elif unit := _EPOCHS.get(len(whole)):
        microseconds = int(whole) * unit + int(fraction[:6].ljust(6, "0")) * unit // 1_000_000
    else:
        return None
    return Reading((EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None), timedelta(0), "UTC")


@lru_cache(maxsize=8192)
def parse_date(text: str, zone: tzinfo = UTC) -> datetime | None:
    """The instant of a text, aware and in UTC. A text without an offset means the time of day in `zone`."""
    found = read_date(text)
    return None if found is None else in_zone(found, zone)


def date_text(value: Any) -> str | None:
    """The text that may say a date: that of a scalar, or of the first element of a list; None for deeper values."""
    if isinstance(value, list):
        first = value[0] if value else None
        return str(epoch_milliseconds(first)) if isinstance(first, datetime) else None if isinstance(first, list) else date_text(first)
    if isinstance(value, dict) or (isinstance(value, int) and abs(value) > _INT64_MAX):
        return None
    return single_text(value)


def reading_of(value: Any) -> Reading | None:
    """What a value says as a date: a date itself, other values by their one text. No date math."""
    if isinstance(value, datetime):
        return Reading(value.astimezone(UTC).replace(tzinfo=None), timedelta(0), "UTC")
    text = date_text(value)
    return None if not text else read_date(text)


def said_by(scope: Scope, arguments: tuple[Any, ...]) -> Reading | None:
    """What the one argument of a function says as a date; without an argument it is the message time."""
    return reading_of(arguments[0] if arguments else scope.time)


def epoch_seconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(seconds=1)


def date_of(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """The instant of a value: a date itself, other values by their one text. No date math."""
    if isinstance(value, datetime):
        return value
    text = date_text(value)
    return None if not text else parse_date(text, zone)


def time_of(value: Any, now: datetime | None, zone: tzinfo = UTC) -> datetime | None:
    """A value as an instant where an instant is asked for, such as beside one in a comparison.

    Text that starts with `now` is date math on `now`, other text a date without a layout. Numbers are read by their
    digits, if that gives a plausible year. A list gives its first element.
    """
    if isinstance(value, list):
        return time_of(value[0], now, zone) if value and not isinstance(value[0], list) else None
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return read_date_math(value, now) if is_date_math(value) else parse_date(value, zone)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = date_of(value, zone)
    return found if found is not None and found.year in _PLAUSIBLE_YEARS else None
