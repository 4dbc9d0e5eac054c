"""Faults in files that people write (jobs, mappings): a number, the place, the line with a caret, a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len

_TAB = "    "
_WIDEST, _BEFORE = 120, 80


@dataclass(frozen=True)
class Fault:
    """One fault of a document. `line` and `column` count from 1; `source` is the line it stands in."""

    code: str
    message: str
    file: str
    line: int
    column: int
    source: str
    width: int = 1
    hint: str | None = None

    def render(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}"
        if self.source.strip():
            before, marked, after = self._parts()
            # Tabs have no width of their own, and some characters take two columns.
            blanks, carets = (cell_len(part.replace("\t", _TAB)) for part in (before, marked))
            line = (before + marked + after).replace("\t", _TAB)
            text += f"\n    {line}\n    {' ' * blanks}{'^' * max(1, carets)}"
        if self.hint:
            text += f"\n    {self.hint}"
        return text

    def _parts(self) -> tuple[str, str, str]:
        """The line before, at and behind the fault; of a long one only what is near."""
        start = min(self.column - 1, len(self.source))
        end = start + max(1, self.width)
        before, marked, after = self.source[:start], self.source[start:end], self.source[end:]
        if len(self.source) <= _WIDEST:
            return before, marked, after
        if len(before) > _BEFORE and len(before) + len(marked) > _WIDEST:
            before = "…" + before[-_BEFORE:]
        room = max(0, _WIDEST - len(before))
        if len(marked) > room:
            return before, marked[:room], "…"
        room -= len(marked)
        return before, marked, after if len(after) <= room else after[:room] + "…"


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The place of a character, both counted from 1."""
    offset = min(offset, len(text))
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """`did you mean ...?` for the known word closest to `word`, or None when nothing is close."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else None
