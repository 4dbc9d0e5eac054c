"""Text read by a Go reference-time layout, exactly as lql.md 7.1 says.

The layout is cut into elements once; the text is then walked element by element, each taking as much as it may, without
looking back: `15` takes two digits where there are two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from etl.mapping.dates_forms import FULL_MONTHS, MONTHS, full_year

_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _any_of(names: tuple[str, ...]) -> str:
    return f"(?i:{'|'.join(names)})"


_TWO, _ONE_OR_TWO = "[0-9]{2}", "[0-9]{1,2}"
_SIGNED_HOUR = "(?:(?=...)[+-](?:[01]?[0-9]|2[0-3])(?![0-9]))"
_ZONE_NAME = "|".join(
    (
        *("UTC", "ChST", "MeST", "GMT(?:[+-](?:[01]?[0-9]|2[0-3])(?![0-9]))?", _SIGNED_HOUR),
        *("[A-Z]{4}T(?![A-Z])", "(?:[A-Z]{3}T|WITA)(?![A-Z])", "[A-Z]{3}(?![A-Z])"),
    )
)

# Each layout element: what it is called here, and what the text must hold. The first that fits a place counts.
_ELEMENTS: tuple[tuple[str, str, str], ...] = (
    ("January", "month", _any_of(FULL_MONTHS)),
    ("Jan(?![a-z])", "month", _any_of(MONTHS)),
    ("Monday", "weekday", _any_of(_FULL_DAYS)),
    ("Mon(?![a-z])", "weekday", _any_of(tuple(day[:3] for day in _FULL_DAYS))),
    ("MST", "zone", _ZONE_NAME),
    ("002", "day of year", "[0-9]{3}"),
    ("01", "month", _TWO),
    ("02", "day", _TWO),
    ("03", "half hour", _TWO),
    ("04", "minute", _TWO),
    ("05", "second", _TWO),
    ("06", "year", _TWO),
    ("15", "hour", _ONE_OR_TWO),
    ("1", "month", _ONE_OR_TWO),
    ("2006", "year", "[0-9]{4}"),
    ("2", "day", _ONE_OR_TWO),
    ("__2", "day of year", " {0,2}[0-9]{1,3}"),
    ("_2(?!006)", "day", " ?[0-9]{1,2}"),
    ("3", "half hour", _ONE_OR_TWO),
    ("4", "minute", _ONE_OR_TWO),
    ("5", "second", _ONE_OR_TWO),
    ("PM", "half", "AM|PM"),
    ("pm", "half", "am|pm"),
    ("-07:00:00", "offset", "[+-][0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ("-070000", "offset", "[+-][0-9]{6}"),
    ("-07:00", "offset", "[+-][0-9]{2}:[0-9]{2}"),
    ("-0700", "offset", "[+-][0-9]{4}"),
    ("-07", "offset", "[+-][0-9]{2}"),
    ("Z07:00:00", "offset", "Z|[+-][0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ("Z070000", "offset", "Z|[+-][0-9]{6}"),
    ("Z07:00", "offset", "Z|[+-][0-9]{2}:[0-9]{2}"),
    ("Z0700", "offset", "Z|[+-][0-9]{4}"),
    ("Z07", "offset", "Z|[+-][0-9]{2}"),
    ("[.,](?:0+|9+)(?![0-9])", "fraction", ""),
)
_AT_ANY = re.compile("|".join(f"({element})" for element, _, _ in _ELEMENTS))
_PATTERNS = {re.sub(r"\(\?!.*?\)", "", element): re.compile(pattern) for element, _, pattern in _ELEMENTS}
_FREE_FRACTION = "(?:[.,][0-9]+)?"


@dataclass(frozen=True)
class Element:
    """A piece of a layout: what it says (empty for text between), and what must stand there."""

    says: str
    pattern: re.Pattern[str]


def pieces_of(layout: str) -> list[tuple[str, str]]:
    """The layout cut into its elements and the text between them: each with what it says, empty for text."""
    found: list[tuple[str, str]] = []
    position = 0
    for match in _AT_ANY.finditer(layout):
        if match.start() > position:
            found.append((layout[position : match.start()], ""))
        found.append((match.group(), _ELEMENTS[(match.lastindex or 1) - 1][1]))
        position = match.end()
    return found if position == len(layout) else [*found, (layout[position:], "")]


@lru_cache(maxsize=256)
def elements_of(layout: str) -> tuple[Element, ...]:
    """What a text must hold by the layout, piece by piece."""
    pieces = pieces_of(layout)
    found: list[Element] = []
    for place, (text, says) in enumerate(pieces):
        if not says:
            found.extend(_literal(text))
        elif says == "fraction":
            behind_second = place > 0 and pieces[place - 1][1] == "second"
            found.append(Element(says, re.compile(_fraction(text, behind_second and place == len(pieces) - 1))))
        else:
            found.append(Element(says, _PATTERNS[text]))
        if says == "second" and next((later for _, later in pieces[place + 1 :] if later), "") != "fraction":
            # Seconds may have a fraction that the layout does not name.
            found.append(Element("fraction", re.compile(_FREE_FRACTION)))
    return tuple(found)


def _fraction(text: str, behind_second_at_end: bool) -> str:
    """A fraction of nines may have any length. One of zeros takes exactly as many digits; only six of them at the very
    end may be fewer or none.

    Amplitude leaves a fraction of zero out, so the exact reading would lose every event on a whole second.
    """
    digits = len(text) - 1
    if text[1] == "9":
        return _FREE_FRACTION
    return "(?:[.,][0-9]{1,6})?" if digits == 6 and behind_second_at_end else f"[.,][0-9]{{{digits}}}"


def _literal(text: str) -> list[Element]:
    """Text between the elements; blanks stand for one or more blanks, and at the end of a text for none."""
    return [Element("", re.compile(r"(?: +|\Z)" if piece.startswith(" ") else re.escape(piece))) for piece in re.findall(" +|[^ ]+", text)]


def names_year(layout: str) -> bool:
    """A text read by the layout has a year; without one it is no instant."""
    return any(says == "year" for _, says in pieces_of(layout))


@lru_cache(maxsize=8192)
def parse_with_layout(text: str, layout: str) -> datetime | None:
    """The instant of a text in a Go layout, aware and in UTC; None where it does not fit or is no date."""
    said: dict[str, str] = {}
    position = 0
    for element in elements_of(layout):
        match = element.pattern.match(text, position)
        if match is None:
            return None
        position = match.end()
        if not _note(said, element.says, match.group()):
            return None
    return _instant(said) if position == len(text) else None


_LIMITS = {"hour": range(24), "half hour": range(13), "minute": range(60), "second": range(60)}


def _note(said: dict[str, str], says: str, text: str) -> bool:
    """What a piece says is kept; later pieces win, but `Z` and `UTC` are final. False: the piece is out of range."""
    if not text or not says:  # a fraction may be left out
        return True
    if says in _LIMITS and int(text) not in _LIMITS[says]:
        return False
    if says == "offset" and text != "Z" and _offset(text) is None:
        return False
    if says == "half hour":
        says = "hour"
    elif text in ("Z", "UTC") and says in ("offset", "zone"):
        says = "utc"
    said[says] = text
    return True


def _instant(said: dict[str, str]) -> datetime | None:
    try:
        day = _day(said)
        if day is None:
            return None
        hour, half = int(said.get("hour", 0)), said.get("half", "").upper()
        hour = hour + 12 if half == "PM" and hour < 12 else 0 if half == "AM" and hour == 12 else hour
        fraction = int(said.get("fraction", "")[1:7].ljust(6, "0"))
        wall = datetime(day.year, day.month, day.day, hour, int(said.get("minute", 0)), int(said.get("second", 0)), fraction, UTC)
        offset = None if "utc" in said or "offset" not in said else _offset(said["offset"])
        return wall - offset if offset else wall
    except (ValueError, OverflowError):
        return None


def _day(said: dict[str, str]) -> date | None:
    if "year" not in said:
        return None
    year = full_year(said["year"])
    month = said.get("month")
    number = None if month is None else int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) + 1
    day = int(said["day"]) if "day" in said else None
    if "day of year" not in said:
        return date(year, 1 if number is None else number, 1 if day is None else day)
    ordinal = int(said["day of year"])
    found = date(year, 1, 1) + timedelta(days=ordinal - 1)
    fits = found.year == year and number in (None, found.month) and day in (None, found.day)
    return found if fits else None


def _offset(text: str) -> timedelta | None:
    digits = text[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    if hours > 24 or minutes > 60 or seconds > 60:
        return None
    east = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -east if text[0] == "-" else east


__all__ = ["Element", "elements_of", "names_year", "parse_with_layout", "pieces_of"]
