"""Written dates without a layout: the forms that are accepted, and what each of them says.

A text is a date in one of the forms of `_DATES`, alone or with a time of day and a zone behind it. Nothing is guessed:
of two numbers and a year the month comes first, and what fits no form is no date. Source: lql.md 7.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAY = "(?i:mon|tue|wed|thu|fri|sat|sun)"

_YEAR, _SHORT_YEAR = r"(?P<year>[0-9]{4})", r"(?P<year>[0-9]{4}|[0-9]{2})"
_MONTH, _DAY = r"(?P<month>[0-9]{1,2})", r"(?P<day>[0-9]{1,2})"
_ABBREVIATED, _SPELLED = f"(?P<month>(?i:{'|'.join(MONTHS)}))", f"(?P<month>(?i:{'|'.join(FULL_MONTHS)}))"
_DOTTED = f"(?P<month>(?i:{'|'.join(MONTHS)}))(?:[A-Za-z]?\\.)?"
_ORDINAL = "(?i:st|nd|rd|th)?"
_CLOCK = r":(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"

# What may stand between a date and its time of day.
_BLANKS, _OR_T, _OR_COLON, _OR_COMMA = " +", "T *| +", "[: ] *", ",? +"

# Each form of a date with the separator to its time of day; None: the form has none.
_DATES = tuple(
    (re.compile(form), re.compile(separator) if separator else None)
    for form, separator in (
        (rf"{_YEAR}-{_MONTH}-{_DAY}", _OR_T),
        (rf"{_YEAR}/{_MONTH}/{_DAY}", _OR_COLON),
        (rf"{_MONTH}/{_DAY}/{_SHORT_YEAR}", _BLANKS),
        (rf"(?P<day>[0-9]{{2}})/{_ABBREVIATED}/{_SHORT_YEAR}", _OR_COLON),
        (rf"{_DAY}-{_ABBREVIATED}-{_SHORT_YEAR}", _BLANKS),
        (rf"{_DAY}{_ORDINAL} {_ABBREVIATED} {_SHORT_YEAR}", _OR_COMMA),
        (rf"{_DOTTED} +{_DAY}{_ORDINAL}, +'?{_SHORT_YEAR}(?![0-9:])", _OR_COMMA),
        (rf"{_DOTTED} +{_DAY}{_ORDINAL}(?: +{_SHORT_YEAR}(?![0-9:]))?", _BLANKS),
        (rf"{_SPELLED} {_DAY}{_ORDINAL},? {_SHORT_YEAR}", _OR_COMMA),
        (rf"(?:{_WEEKDAY}|[A-Za-z]{{4,}}), {_DAY}[ -]{_ABBREVIATED}[ -]{_SHORT_YEAR}", _BLANKS),
        (r"(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})(?= +[^ ])", _BLANKS),
        (rf"{_YEAR}年(?P<month>[0-9]{{2}})月(?P<day>[0-9]{{2}})日(?: +(?P<hour>[0-9]{{1,2}}){_CLOCK})?", None),
        (rf"{_YEAR}[-/]{_MONTH}", None),
        (rf"{_YEAR}-{_ABBREVIATED}-{_DAY}", None),
        (rf"{_DAY} {_SPELLED} {_YEAR}", None),
        (rf"{_MONTH}\.{_DAY}\.{_SHORT_YEAR}", None),
        (rf"{_YEAR}\.{_MONTH}(?:\.{_DAY})?", None),
    )
)
_TIME = re.compile(
    r"(?:(?i:at) +)?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2})(?::(?P<second>[0-9]{1,2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<half>AM|PM|am|pm)(?:(?![A-Za-z])|(?<= [AP]M)(?=Z)))?"
)

# Zone names as Go's time package takes them: three capitals, or four that end in T.
_NAME = "(?:[A-Z]{3}T|ChST|MeST|WITA|[A-Z]{3})"
_OFFSET = "[+-][0-9]{2}(?::?[0-9]{2})?"
_REMARK = r"(?: +\(.*\))?"
# The name of the zone's place says nothing that counts: `America/New_York`, and behind an offset also `[Europe/Berlin]`.
_PLACE = "[A-Z][A-Za-z_]*(?:/[A-Z][A-Za-z0-9_+-]*)+"
_PLACE_BEHIND = rf"(?: +{_PLACE}| ?\[[^\[\]]*\])?"
_ZONE = re.compile(
    # A name, with an offset or not: `UTC`, `GMT+0100 (British Summer Time)`.
    rf" *(?:(?P<name>Z)|(?<= )(?P<name2>{_NAME})(?P<offset>[+-][0-9]{{2}}(?:[0-9]{{2}})?(?![0-9:]))?{_REMARK}){_PLACE_BEHIND} *"
    # An offset. Its name, the offset once more or Go's clock reading may follow: none of them says anything new.
    rf"| *(?P<offset2>{_OFFSET})(?: +(?P<its_name>{_NAME})| +{_OFFSET})?{_REMARK}(?: m=[+-][0-9.]+)?{_PLACE_BEHIND} *"
    rf"|{_REMARK}(?: +{_PLACE})? *"
)
# A year behind the time of day: `Mon Jan 2 15:04:05 -0700 2006`.
_ZONE_AND_YEAR = re.compile(rf" +(?:(?P<name>{_NAME})?(?P<offset>[+-][0-9]{{4}})? +)?(?P<year>[0-9]{{4}}) *")
# A zone behind a date alone; without a blank it is an offset, and only behind `2024-05-01`.
_JUST_ZONE = re.compile(rf" +(?:(?P<name>Z|{_NAME})|(?P<offset>{_OFFSET}){_PLACE_BEHIND}|{_PLACE}) *")
_JUST_OFFSET = re.compile(r"(?P<offset>[+-][0-9]{2}:?[0-9]{2})")
_COLON_FRACTION = re.compile(r"(:[0-9]{1,2}:[0-9]{1,2}):([0-9]+[+-])")
_WEEKDAY_FIRST = re.compile(f"(?:{_WEEKDAY} )+")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says: a time of day in some zone, as far as it is named. `offset` counts east of UTC.

    Without an offset `zone` may still be a name such as `PST`, which means something only where a zone is given.
    """

    wall: datetime
    offset: timedelta | None = None
    zone: str = ""


def read_form(text: str) -> Reading | None:
    """The date of a text in one of the written forms, or None."""
    if text[:1].isalpha():
        text = _WEEKDAY_FIRST.sub("", text, count=1)
    for form, separator in _DATES:
        if (date := form.match(text)) is None:
            continue
        rest = text[date.end() :]
        if not (rest if separator is None else rest.strip(" ")):
            return reading(date.groupdict())
        if separator is not None and (said := _said_behind(rest, separator, date["year"] is not None)) is not None:
            return reading(date.groupdict() | said)
    return None


def _said_behind(rest: str, separator: re.Pattern[str], has_year: bool) -> dict[str, str | None] | None:
    """The named parts of what stands behind a date: a time of day, a zone, the year if the date has none."""
    if just_zone := _JUST_ZONE.fullmatch(rest):
        return just_zone.groupdict()
    if separator.pattern == _OR_T and (just_offset := _JUST_OFFSET.fullmatch(rest)):
        return just_offset.groupdict()
    rest = _COLON_FRACTION.sub(r"\1.\2", rest, count=1)
    between = separator.match(rest)
    time = _TIME.match(rest, between.end()) if between else None
    zone = (_ZONE if has_year else _ZONE_AND_YEAR).fullmatch(rest, time.end()) if time else None
    return time.groupdict() | _present(zone) if time and zone else None


def _present(found: re.Match[str]) -> dict[str, str | None]:
    return {name.rstrip("2"): part for name, part in found.groupdict().items() if part is not None}


def reading(parts: dict[str, str | None]) -> Reading | None:
    """The reading of named parts; None where they are no date of the years 1 to 9999."""
    year, month, day = parts.get("year"), parts.get("month") or "1", parts.get("day") or "1"
    if year is None:
        return None
    hour = int(parts.get("hour") or 0)
    half = (parts.get("half") or "").upper()
    if half == "PM" and hour < 12:
        hour += 12
    elif half == "AM" and hour == 12:
        hour = 0
    fraction = (parts.get("fraction") or "")[:6].ljust(6, "0")
    try:
        wall = datetime(  # noqa: DTZ001 - the zone is kept beside it
            full_year(year),
            int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) + 1,
            int(day),
            hour,
            int(parts.get("minute") or 0),
            int(parts.get("second") or 0),
            int(fraction),
        )
    except ValueError:
        return None
    name = parts.get("name") or ""
    if name in ("Z", "UTC"):  # `UTC-05` is UTC, as upstream
        return Reading(wall, timedelta(0), "UTC")
    if offset := parts.get("offset"):
        east = offset_of(offset)
        return None if east is None else Reading(wall, east, name or parts.get("its_name") or "")
    return Reading(wall, None, name)


def full_year(text: str) -> int:
    """Two digits are 1969 to 2068."""
    return int(text) if len(text) > 2 else int(text) + (1900 if int(text) >= 69 else 2000)


def offset_of(text: str) -> timedelta | None:
    """`+02`, `+0200` or `+02:00`; up to 24 hours and 60 minutes, as Go reads them."""
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:4])
    if hours > 24 or minutes > 60:
        return None
    east = timedelta(hours=hours, minutes=minutes)
    return -east if text[0] == "-" else east
