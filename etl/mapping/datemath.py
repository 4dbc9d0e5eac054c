"""Date math: `now-3d` (lql.md 3.4). One term; the anchor is the record's message time, never the clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Literal, Node

_TERM = re.compile(r"([+-][0-9]{1,18})([yMwdhms])")
_SPANS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def is_date_math(text: str, *, in_any_case: bool = False) -> bool:
    """The text means a distance from now, readable or not. `now` alone does not. Only `todate` takes `Now` and `NOW`."""
    start = text[:3].lower() if in_any_case else text[:3]
    return len(text) > 3 and start == "now"


def read_date_math(text: str, now: datetime | None) -> datetime | None:
    """The instant of `now` and one term; None when the text is something else, or there is no `now` to count from.

    Units: y year, M month, w week, d day, h hour, m minute, s second. A day that a month does not have runs into the
    next one: a month after 31 January is 3 March (2 March in leap years).
    """
    term = _TERM.fullmatch(text, 3)
    if term is None or now is None:
        return None
    count, unit = int(term.group(1)), term.group(2)
    try:
        if unit in _SPANS:
            return now + count * _SPANS[unit]
        return _months_later(now, count * (12 if unit == "y" else 1))
    except OverflowError:
        return None


def check_date_math(node: Node, *, in_any_case: bool) -> None:
    """Raises ExpressionError for literal text that is meant as date math and is none."""
    if not isinstance(node, Literal) or not isinstance(node.value, str) or not is_date_math(node.value, in_any_case=True):
        return
    readable = is_date_math(node.value, in_any_case=in_any_case)
    if not readable or read_date_math(node.value, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        start = "now" if in_any_case else "now in lower case"
        hint = f'{start}, one sign, one whole number, one of y M w d h m s, for example "now-3d"'
        raise ExpressionError("E204", "this is no date math", node.start, node.end, hint)


def _months_later(now: datetime, count: int) -> datetime | None:
    year, month = divmod(now.year * 12 + now.month - 1 + count, 12)
    if not 1 <= year <= 9999:
        return None
    first = datetime(year, month + 1, 1, now.hour, now.minute, now.second, now.microsecond, tzinfo=UTC)
    return first + timedelta(days=now.day - 1)
