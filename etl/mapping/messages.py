"""Faults in a mapping: a stable number, the place, the text with a caret, a hint. Numbers are never used twice.

1xx the text of an expression · 2xx names and arguments · 3xx kinds and merge operators · 4xx the document
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class ExpressionError(ValueError):
    """A fault inside one expression: `code`, `message`, `start` and `end` (character offsets), `hint`."""

    def __init__(self, code: str, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.hint = code, message, start, max(end, start + 1), hint

    def render(self, text: str) -> str:
        """The message with the expression and a caret below the fault."""
        return Fault(self.code, self.message, "expression", 1, self.start + 1, text, self.end - self.start, self.hint).render()


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
