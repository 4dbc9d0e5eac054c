"""What either front end (YAML document, LQL statement) reads off a file before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from etl.faults import Fault


@dataclass(frozen=True)
class Placed:
    """A text of the file; `start` is the offset of its first character (behind an opening quote)."""

    text: str
    start: int


@dataclass(frozen=True)
class DraftField:
    """One row. `name` None: it is missing; `kind` None: the expression decides."""

    start: int
    name: Placed | None = None
    source: Placed | None = None
    guard: Placed | None = None
    kind: Placed | None = None
    merge: Placed | None = None
    label: Placed | None = None
    description: Placed | None = None
    pii: Placed | None = None
    capacity: Placed | None = None


@dataclass
class Draft:
    """A whole file."""

    stream: Placed | None = None
    into: Placed | None = None
    time: Placed | None = None
    key: Placed | None = None
    where: Placed | None = None
    by: list[Placed] = field(default_factory=list)
    extends: list[Placed] = field(default_factory=list)
    fields: list[DraftField] = field(default_factory=list)


class Faults:
    """The faults and warnings of one file, each with its place."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text, self._lines = file, text, text.split("\n")
        self.found: list[Fault] = []
        self.warnings: list[Fault] = []

    def add(self, code: str, message: str, start: int | None, hint: str | None = None, width: int = 1) -> None:
        """A fault at the offset `start` (None: the file as a whole)."""
        self._add(self.found, code, message, start, hint, width)

    def warn(self, code: str, message: str, start: int, hint: str | None = None, width: int = 1) -> None:
        self._add(self.warnings, code, message, start, hint, width)

    def _add(self, where: list[Fault], code: str, message: str, start: int | None, hint: str | None, width: int) -> None:
        offset = min(start or 0, len(self._text))
        line = self._text.count("\n", 0, offset)
        column = offset - (self._text.rfind("\n", 0, offset) + 1)
        fault = Fault(code, message, self._file, line + 1, column + 1, self._lines[line].rstrip("\r"), width, hint)
        if fault not in where:
            where.append(fault)

    def sorted(self) -> list[Fault]:
        return sorted(self.found, key=lambda fault: (fault.line, fault.column))
