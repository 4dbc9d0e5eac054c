"""Globs: `*` is any run without `/`, `**` any run, `?` one character but `/`, `[a-z]` and `[^a-z]` a class, `\\` quotes.

`%` means `*`; `_` is no wildcard. Libraries for globs of file names do not fit: to them `**` is special only as a whole
path segment, or `*` crosses `/`, and `[!a]` negates.
"""

from __future__ import annotations

import re
from functools import lru_cache

# What a class is made of, and then everything else: stars, one character, a quoted one.
_MEMBER = r"(?:\\.|[^\]\\-])"
_PIECE = re.compile(
    rf"(?P<star>\*+)|(?P<class>\[(?P<no>\^?+)(?P<ranges>(?:{_MEMBER}(?:-{_MEMBER})?)+)\])|\\(?P<quoted>.)|(?P<one>[^\[\\])", re.DOTALL
)
_RANGE = re.compile(r"\\?(?P<low>.)(?:-\\?(?P<high>.))?", re.DOTALL)


def like(text: str, pattern: str) -> bool | None:
    """Whether the whole text matches; None where the pattern is broken (an open class, a `\\` at its end).

    A text that differs before the broken place is a plain no.
    """
    expression, broken = _compiled(pattern.replace("%", "*"))
    found = expression.match(text) is not None
    return None if found and broken else found


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    """The regular expression and whether the pattern is broken: then it finds the texts that reach the broken place."""
    segments = [[""]]  # between `**`; each the chunks between its `*`
    at = 0
    while found := _PIECE.match(pattern, at):
        at = found.end()
        stars = len(found["star"] or "")
        if stars > 1:
            segments.append([""])
        elif stars:
            segments[-1].append("")
        else:
            segments[-1][-1] += _one_character(found)
    broken = at < len(pattern)
    segments[-1][-1] += "." if broken else r"\Z"
    return re.compile(_expression(segments), re.DOTALL), broken


def _one_character(found: re.Match[str]) -> str:
    if found["class"] is None:
        return "[^/]" if found["one"] == "?" else re.escape(found["quoted"] or found["one"])
    pairs = [(pair["low"], pair["high"] or pair["low"]) for pair in _RANGE.finditer(found["ranges"])]
    ranges = "".join(f"\\U{ord(low):08x}-\\U{ord(high):08x}" for low, high in pairs if low <= high)
    if not ranges:  # only ranges the wrong way round
        return "." if found["no"] else "(?!)"
    return f"[{found['no']}{ranges}]"


def _expression(segments: list[list[str]]) -> str:
    """Takes time quadratic in the text at most, since patterns may come from records: what stands between two stars is
    taken at the first place it fits and not tried further on (an atomic group). The second star reaches from there
    whatever it would reach from further on."""
    *before, last = segments
    whole = ""
    for first, *chunks in before:
        segment = first + "".join(f"(?>[^/]*?{chunk})" for chunk in chunks)
        whole += f"(?>.*?{segment})" if whole else f"(?>{segment})"
    first, *chunks = last
    whole += (".*?" if before else "") + first
    return whole + "".join(f"(?>[^/]*?{chunk})" for chunk in chunks[:-1]) + "".join(f"[^/]*?{chunk}" for chunk in chunks[-1:])
