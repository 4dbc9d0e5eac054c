"""`strftime(x, format)`: a date as text in a form."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from etl.mapping.dates import date_text, reading_of
from etl.mapping.dates_forms import FULL_MONTHS, Reading
from etl.mapping.functions import Example, Function


def strftime(value: Any, form: Any) -> str | None:
    """The form with its codes filled in."""
    said, text = reading_of(value), date_text(form)
    if said is None or text is None:
        return None
    return _CODE.sub(lambda code: _CODES[code[1]](said) if code[1] in _CODES else "", text)


def _offset(said: Reading) -> str:
    minutes = 0 if said.offset is None else said.offset // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _zone(said: Reading) -> str:
    return said.zone or (_offset(said) if said.offset else "UTC")


def _week(said: Reading, first_day: int) -> str:
    """The number of the week in the year; days before the first Sunday (0) or Monday (1) are week 0."""
    since_first = (said.wall.isoweekday() - first_day) % 7
    return f"{(said.wall.timetuple().tm_yday + 6 - since_first) // 7:02d}"


_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_CODE = re.compile("%(.)|%$", re.DOTALL)
_CODES: dict[str | None, Callable[[Reading], str]] = {
    "a": lambda said: _DAYS[said.wall.isoweekday() % 7][:3],
    "A": lambda said: _DAYS[said.wall.isoweekday() % 7],
    "w": lambda said: str(said.wall.isoweekday() % 7),
    "d": lambda said: f"{said.wall.day:02d}",
    "b": lambda said: FULL_MONTHS[said.wall.month - 1][:3].title(),
    "B": lambda said: FULL_MONTHS[said.wall.month - 1].title(),
    "m": lambda said: f"{said.wall.month:02d}",
    "y": lambda said: f"{said.wall.year % 100:02d}",
    "Y": lambda said: f"{said.wall.year:02d}",
    "H": lambda said: f"{said.wall.hour:02d}",
    "I": lambda said: f"{said.wall.hour % 12 or 12:02d}",
    "p": lambda said: "AM" if said.wall.hour < 12 else "PM",
    "M": lambda said: f"{said.wall.minute:02d}",
    "S": lambda said: f"{said.wall.second:02d}",
    "f": lambda said: f"{said.wall.microsecond:06d}",
    "z": _offset,
    "Z": _zone,
    "j": lambda said: f"{said.wall.timetuple().tm_yday:03d}",
    "U": lambda said: _week(said, 0),
    "W": lambda said: _week(said, 1),
    "c": lambda said: f"{_CODES['a'](said)} {_CODES['b'](said)} {said.wall.day} {said.wall:%H:%M:%S} {said.wall.year:04d}",
    "x": lambda said: f"{said.wall.month:02d}/{said.wall.day:02d}/{said.wall.year % 100:02d}",
    "X": lambda said: f"{said.wall:%H:%M:%S}",
    "%": lambda said: "%",
}


FUNCTION = Function(
    name="strftime",
    signature="strftime(x, format)",
    summary="A date as text: %a %A %w %d %b %B %m %y %Y %H %I %p %M %S %f %z %Z %j %U %W %c %x %X %% as in C, with English names; "
    "other codes vanish. The time of day is that of the zone the text names.",
    group="dates",
    least=2,
    most=2,
    gives="string",
    kernel=strftime,
    parses=True,
    aliases=("extract",),
    examples=(
        Example('strftime(t, "%B %d")', {"t": "10/13/2014"}, "October 13"),
        Example('extract(t, "%Y-%m-%dT%H")', {"t": 1257894000}, "2009-11-10T23"),
        Example('strftime(t, "%H:%M %z")', {"t": "2024-05-01T10:00:00+02:00"}, "10:00 +0200"),
        Example('strftime(t, "%q100%%")', {"t": "2024-05-01"}, "100%"),
        Example('strftime(t, "%B")', {"t": "hello"}, "missing"),
    ),
)
