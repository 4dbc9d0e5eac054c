"""What either front end (YAML document, LQL statement) reads off a file before anything is checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from etl.faults import Fault, line_and_column
from etl.mapping.messages import ExpressionError


@dataclass(frozen=True)
class Placed:
    """A text of the file; `start` is the offset of its first character (behind an opening quote). Where the file writes it
    in another way than it reads, `offsets` has the place of each character, and last of the one behind."""

    text: str
    start: int
    offsets: tuple[int, ...] | None = None

    @property
    def width(self) -> int:
        """How far it reaches in the file."""
        return max(1, self.at(len(self.text)) - self.start)

    def at(self, index: int) -> int:
        """The offset in the file of its character number `index`."""
        if self.offsets is None:
            return self.start + index
        return self.offsets[min(index, len(self.offsets) - 1)]


@dataclass(frozen=True)
class DraftField:
    """One row. `name` None: it is missing; `kind` None: the expression decides. What is missing and named in `explained`
    has its fault already."""

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
    explained: frozenset[str] = frozenset()


@dataclass
class Draft:
    """A whole file. `unread`: a fault kept some of it from being read, so that nothing can be said to be missing."""

    stream: Placed | None = None
    into: Placed | None = None
    time: Placed | None = None
    key: Placed | None = None
    where: Placed | None = None
    by: list[Placed] = field(default_factory=list)
    extends: list[Placed] = field(default_factory=list)
    fields: list[DraftField] = field(default_factory=list)
    unread: bool = False


def truth_of(text: str) -> bool | None:
    """The bool that YAML reads in a word; None for any other."""
    return True if text.lower() in ("true", "yes", "on") else False if text.lower() in ("false", "no", "off") else None


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """As they stand in the file."""
    return sorted(faults, key=lambda fault: (fault.line, fault.column))


class Faults:
    """The faults and warnings of one file, each with its place."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text, self._lines = file, text, text.split("\n")
        self.found: list[Fault] = []
        self.warnings: list[Fault] = []

    def add(self, code: str, message: str, start: int | None, hint: str | None = None, width: int = 1) -> None:
        """A fault at the offset `start` (None: the file as a whole)."""
        self._add(self.found, code, message, start, hint, width)

    def add_in(self, placed: Placed, error: ExpressionError) -> None:
        """A fault inside a text of the file."""
        start = placed.at(error.start)
        self.add(error.code, error.message, start, error.hint, max(1, placed.at(max(error.end - 1, error.start)) + 1 - start))

    def warn(self, code: str, message: str, start: int, hint: str | None = None, width: int = 1) -> None:
        self._add(self.warnings, code, message, start, hint, width)

    def _add(self, where: list[Fault], code: str, message: str, start: int | None, hint: str | None, width: int) -> None:
        line, column = line_and_column(self._text, start or 0)
        fault = Fault(code, message, self._file, line, column, self._lines[line - 1].rstrip("\r"), width, hint)
        if fault not in where:
            where.append(fault)

    def sorted(self) -> list[Fault]:
        return in_order(self.found)
