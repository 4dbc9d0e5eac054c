"""Faults in a mapping: a stable number, the place, the text with a caret, a hint. Numbers are never used twice.

1xx the text of an expression · 2xx names and arguments · 3xx kinds and merge operators · 4xx the document
"""

from __future__ import annotations

from etl.faults import Fault, nearest

__all__ = ["ExpressionError", "Fault", "nearest"]


class ExpressionError(ValueError):
    """A fault inside one expression: `code`, `message`, `start` and `end` (character offsets), `hint`."""

    def __init__(self, code: str, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.hint = code, message, start, max(end, start + 1), hint

    def render(self, text: str) -> str:
        """The message with the expression and a caret below the fault."""
        return Fault(self.code, self.message, "expression", 1, self.start + 1, text, self.end - self.start, self.hint).render()
