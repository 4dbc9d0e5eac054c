"""Records on their way: masked text for rejects, and hours as the unit of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

LONGEST_SHOWN = 200

_EMAIL = re.compile(r"[^\s\"'<>@,;:]+@[^\s\"'<>@,;:]+")
_DIGITS = re.compile(r"\d{5,}")
_WORD = re.compile(r"[A-Za-z0-9+/_\-]{24,}")


def masked(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The first `longest` characters of `text` with e-mail addresses, long numbers and long tokens replaced by ***."""
    shown = text[: longest * 4]
    for pattern in (_EMAIL, _WORD, _DIGITS):
        shown = pattern.sub("***", shown)
    return shown[:longest]


def hour_text(hour: datetime) -> str:
    """`2026-11-21T05`: how hours are written in load ids, options and logs."""
    return hour.astimezone(UTC).strftime("%Y-%m-%dT%H")
