"""Faults in files that people write (jobs, mappings): a number, the place, the line with a caret, a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


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
            width = max(1, min(self.width, len(self.source) - self.column + 1))
            text += f"\n    {self.source}\n    {' ' * (self.column - 1)}{'^' * width}"
        if self.hint:
            text += f"\n    {self.hint}"
        return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """`did you mean ...?` for the known word closest to `word`, or None when nothing is close."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else None
