"""Go reference-time layouts (`2006-01-02 15:04:05.000000`) as a regular expression and strptime formats, for SQL.

`layout_reading` is the meaning. What this module gives is the same for the texts that match `Layout.pattern`: the shapes
that DuckDB's strptime surely reads alike. Every other text, and every layout that gives None here, is for the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from etl.mapping.dates_forms import FULL_MONTHS, MONTHS
from etl.mapping.layout_reading import Element, names_year, parse_with_layout, pieces_of

__all__ = ["Element", "Layout", "names_year", "parse_with_layout", "read_layout"]

# The elements that SQL reads alike: what the text must look like, and the strptime form. Not so zones (`Z` is unknown
# to strptime), days of the week and of the year, and hours with AM and PM (strptime refuses 00).
_SURE: dict[str, tuple[str, str]] = {
    "2006": (r"[0-9]{4}", "%Y"),
    "06": (r"[0-9]{2}", "%y"),
    "January": (f"(?i:{'|'.join(FULL_MONTHS)})", "%B"),
    "Jan": (f"(?i:{'|'.join(MONTHS)})", "%b"),
    "01": (r"[0-9]{2}", "%m"),
    "02": (r"[0-9]{2}", "%d"),
    "1": (r"[0-9]{1,2}", "%m"),
    "2": (r"[0-9]{1,2}", "%d"),
    "15": (r"[0-9]{1,2}", "%H"),
    "04": (r"[0-9]{2}", "%M"),
    "05": (r"[0-9]{2}", "%S"),
    "4": (r"[0-9]{1,2}", "%M"),
    "5": (r"[0-9]{1,2}", "%S"),
}
_OPTIONAL_FRACTION = r"(?:\.[0-9]{1,6})?"


@dataclass(frozen=True)
class Layout:
    """Texts that match `pattern` as a whole are read by the first of `formats` that fits; others are for the kernel."""

    pattern: str
    formats: tuple[str, ...]

    @property
    def takes_full_dates(self) -> bool:
        """Whether it reads texts like `2022-11-21 15:42:30.394000`."""
        return self.formats[0] == "%Y-%m-%d %H:%M:%S.%f" and re.search(self.pattern, "2022-11-21 15:42:30.394000") is not None


def read_layout(layout: str) -> Layout | None:
    """The layout's pattern and formats; None when SQL cannot be trusted with it, or it names no year."""
    pattern, form, seen = "", "", set[str]()
    fraction_at: int | None = None
    pieces = pieces_of(layout)
    if layout.startswith(" "):  # strptime skips leading blanks
        return None
    for place, (text, says) in enumerate(pieces):
        following = pieces[place + 1][0] if place + 1 < len(pieces) else ""
        if not says:
            pattern, form = pattern + re.escape(text), form + text.replace("%", "%%")
            continue
        if says == "fraction":
            if fraction_at is None or fraction_at != len(form):
                return None
            loose = (text[1:] == "000000" and not following) or text[1] == "9"
            if not loose and len(text) > 7:
                return None
            pattern += _OPTIONAL_FRACTION if loose else rf"\.[0-9]{{{len(text) - 1}}}"
            continue
        if says in seen or text not in _SURE:
            return None
        seen.add(says)
        shape, part = _SURE[text]
        if shape.endswith("{1,2}") and (following[:1].isdigit() or following == "_2"):
            shape = "[0-9]{2}"
        pattern, form = pattern + shape, form + part
        if says == "second":
            fraction_at = len(form)
            if place + 1 == len(pieces) or pieces[place + 1][1] != "fraction":
                if any(later == "fraction" for _, later in pieces[place + 1 :]):
                    return None
                pattern += _OPTIONAL_FRACTION
    if "year" not in seen:
        return None
    if fraction_at is None:
        return Layout(f"^{pattern}$", (form,))
    return Layout(f"^{pattern}$", (f"{form[:fraction_at]}.%f{form[fraction_at:]}", form))


def short_fraction(layout: str, text: str) -> str | None:
    """SQL that tells whether the SQL text `text` has a missing or shorter fraction than the layout's zeros ask for.

    None for layouts that do not let it be so.
    """
    found = re.search(r"[.,]0{6}$", layout)
    return None if found is None else f"NOT regexp_matches({text}, '[.,][0-9]{{6}}$')"
