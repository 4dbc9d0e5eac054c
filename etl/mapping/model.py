"""A mapping as data: what a checked document holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from etl.faults import Fault
from etl.mapping.kinds import DEFAULT_MATCH_CAPACITY, Kind
from etl.mapping.tree import Call, Node
from etl.settings import Secret

SCALAR_MERGES = ("latest", "oldest", "min", "max", "sum", "count")
MAP_MERGES = ("latest", "oldest", "min", "max", "sum")
LIST_MERGES = ("merge",)

# Names that LQL files use for the same operators (lql.md 10).
_MERGE_SYNONYMS = {"latestmap": "latest", "oldestmap": "oldest", "mapmax": "max", "mapmin": "min", "capped": "merge"}

# `into: event`: a record gives an event of its own, for another API, and nothing to a profile.
EVENT = "event"

# Not identifiers, whatever their case (design section 8; the list Amplitude itself refuses, amplitude-api.md 4.1).
GUARD_VALUES = (
    "", "null", "nil", "none", "n/a", "na", "anonymous", "unknown", "undefined", "0", "-1", "{}", "lmy47d",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """An expression as written, and its tree."""

    text: str
    node: Node


@dataclass(frozen=True)
class Source:
    """Where a field's value comes from; with a `guard` only in records for which that is true."""

    expression: Expression
    guard: Expression | None = None


@dataclass(frozen=True)
class Field:
    """One profile field. Of several `sources` the last that gives a value counts.

    `merge` is the merge operator; `capacity` (maps and lists) is the most keys kept, None for all.
    """

    name: str
    sources: tuple[Source, ...]
    kind: Kind
    merge: str
    label: str = ""
    pii: bool = False
    capacity: int | None = None
    description: str = ""


@dataclass(frozen=True)
class Mapping:
    """A checked mapping. `by` names identifier fields, most trusted first; the first is exclusive to one person.

    Where it `gives_events`, the fields' names are the places of their values in an event (`paths`), and nothing is merged.
    Records for which `where` is not true are not mapped. With a `pii_key`, a load's fields that are `pii` are hashed by it.
    `files` are its own and those that it extends. `warnings` are likely mistakes that stop nothing.
    """

    name: str
    stream: str
    fields: tuple[Field, ...]
    by: tuple[str, ...] = ()
    time: Expression | None = None
    key: Expression | None = None
    where: Expression | None = None
    path: Path | None = None
    into: str = "user"
    files: tuple[Path, ...] = field(default=(), compare=False)
    warnings: tuple[Fault, ...] = field(default=(), compare=False)
    pii_key: Secret | None = field(default=None, compare=False, repr=False)

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def gives_events(self) -> bool:
        return self.into.lower() == EVENT

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the mapped values or their merging may change; labels and file names do not count."""
        content: dict[str, object] = {
            "stream": self.stream,
            "by": self.by,
            "time": self.time and self.time.text,
            "key": self.key and self.key.text,
            "fields": [_content(f) for f in self.fields],
        }
        if self.pii_key is not None and (hashed := [f.name for f in self.fields if f.pii]):
            content["hashed"] = hashed
        if self.where:
            content["where"] = self.where.text
        if self.gives_events:
            content["into"] = EVENT
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _content(field: Field) -> list[object]:
    """What of a field decides its values; a field with one unguarded source is written as before there were others."""
    if len(field.sources) == 1 and field.sources[0].guard is None:
        source: object = field.sources[0].expression.text
    else:
        source = [[one.expression.text, one.guard and one.guard.text] for one in field.sources]
    return [field.name, source, field.kind.name, field.merge, field.capacity]


def merges_of(kind: Kind) -> tuple[str, ...]:
    """The merge operators that a kind of this shape can have."""
    return MAP_MERGES if kind.is_map else LIST_MERGES if kind.is_list else SCALAR_MERGES


def merge_named(name: str, kind: Kind | None) -> str:
    """The operator by that name or one of its other names, whether the kind has it or not."""
    found = _MERGE_SYNONYMS.get(name.lower(), name.lower())
    return "latest" if found == "merge" and kind is not None and kind.is_map else found


def default_merge(node: Node, kind: Kind) -> str:
    """Scalars: latest; of `count(x)` the sum. Maps: latest per key. Counters: sum per key. Lists: their union."""
    if kind.is_list:
        return "merge"
    counts = isinstance(node, Call) and node.name == "count" and kind.name == "int"
    return "sum" if kind.is_counter or counts else "latest"


def default_capacity(node: Node, kind: Kind) -> int | None:
    """Only maps from `match` are capped by default: their keys come from outside and only ever grow."""
    if isinstance(node, Call) and node.name == "match" and kind.is_map and not kind.is_counter:
        return DEFAULT_MATCH_CAPACITY
    return None
