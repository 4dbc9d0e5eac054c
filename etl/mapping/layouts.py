"""Go reference-time layouts (`2006-01-02 15:04:05.000000`) to a regular expression and a strptime format."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_FULL_MONTHS = "(?i:january|february|march|april|may|june|july|august|september|october|november|december)"
_DAYS = "(?i:mon|tue|wed|thu|fri|sat|sun)"
_FULL_DAYS = "(?i:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"

# Longest first: each layout element with what the data must look like, and its strptime form. Source: lql.md 7.1.
_ELEMENTS: tuple[tuple[str, str, str], ...] = (
    ("January", _FULL_MONTHS, "%B"),
    ("Monday", _FULL_DAYS, "%A"),
    ("2006", r"\d{4}", "%Y"),
    ("-07:00", r"[+-]\d{2}:\d{2}", "%z"),
    ("Z07:00", r"(?:Z|[+-]\d{2}:\d{2})", "%z"),
    ("-0700", r"[+-]\d{4}", "%z"),
    ("Jan", _MONTHS, "%b"),
    ("Mon", _DAYS, "%a"),
    ("-07", r"[+-]\d{2}", "%z"),
    ("002", r"\d{3}", "%j"),
    ("01", r"\d{2}", "%m"),
    ("02", r"\d{2}", "%d"),
    ("_2", r"[ \d]\d", "%d"),
    ("03", r"\d{2}", "%I"),
    ("04", r"\d{2}", "%M"),
    ("05", r"\d{2}", "%S"),
    ("06", r"\d{2}", "%y"),
    ("15", r"\d{1,2}", "%H"),
    ("PM", "[AP]M", "%p"),
    ("pm", "[ap]m", "%p"),
    ("1", r"\d{1,2}", "%m"),
    ("2", r"\d{1,2}", "%d"),
    ("3", r"\d{1,2}", "%I"),
    ("4", r"\d{1,2}", "%M"),
    ("5", r"\d{1,2}", "%S"),
)
_FRACTION = re.compile(r"([.,])(0+|9+)(?!\d)")


@dataclass(frozen=True)
class Layout:
    """`pattern` must match the whole text; `formats` are tried in order on it with `,` turned into `.`.

    A fraction may be missing or shorter than the layout's zeros ask for, because Amplitude leaves it out when it is zero.
    """

    pattern: str
    formats: tuple[str, ...]


def read_layout(layout: str) -> Layout | None:
    """The layout's pattern and formats; None when it names no date at all (such as `%Y-%m-%d`)."""
    pattern, plain, with_fraction = "", "", ""
    elements, position = 0, 0
    while position < len(layout):
        fraction = _FRACTION.match(layout, position)
        if fraction and plain.endswith(("%S",)):
            longest = len(fraction.group(2)) if fraction.group(2)[0] == "0" else 9
            pattern += rf"(?:[.,]\d{{1,{longest}}})?"
            with_fraction = with_fraction or plain + ".%f"
            position = fraction.end()
            continue
        for text, regex, form in _ELEMENTS:
            if layout.startswith(text, position):
                pattern, plain, elements, position = pattern + regex, plain + form, elements + 1, position + len(text)
                with_fraction = with_fraction + form if with_fraction else ""
                break
        else:
            character = layout[position]
            pattern += re.escape(character) if not character.isspace() else " "
            escaped = character.replace("%", "%%")
            plain, position = plain + escaped, position + 1
            with_fraction = with_fraction + escaped if with_fraction else ""
            continue
        if text == "05" and not _FRACTION.match(layout, position):
            pattern += r"(?:[.,]\d{1,9})?"
            with_fraction = plain + ".%f"
    if not elements:
        return None
    return Layout(f"^{pattern}$", (with_fraction, plain) if with_fraction else (plain,))


def short_fraction(layout: str, text: str) -> str | None:
    """SQL that tells whether the SQL text `text` has a missing or shorter fraction than the layout's zeros ask for.

    None for layouts without zeros behind the seconds.
    """
    found = _FRACTION.search(layout)
    if found is None or found.group(2)[0] != "0":
        return None
    return f"NOT regexp_matches({text}, '[.,][0-9]{{{len(found.group(2))}}}([^0-9]|$)')"
