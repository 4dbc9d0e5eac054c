"""A mapping as data: what a checked document holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from etl.mapping.kinds import DEFAULT_MATCH_CAPACITY, Kind
from etl.mapping.tree import Call, Node

SCALAR_MERGES = ("latest", "oldest", "min", "max", "sum", "count")
MAP_MERGES = ("latest", "oldest", "sum")

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
class Field:
    """One profile field. `merge` is the merge operator; `capacity` (maps) is the most keys kept, None for all."""

    name: str
    source: Expression
    kind: Kind
    merge: str
    label: str = ""
    pii: bool = False
    capacity: int | None = None


@dataclass(frozen=True)
class Mapping:
    """A checked mapping. `by` names identifier fields, most trusted first; the first is exclusive to one person."""

    name: str
    stream: str
    fields: tuple[Field, ...]
    by: tuple[str, ...] = ()
    time: Expression | None = None
    key: Expression | None = None
    path: Path | None = None

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the mapped values or their merging may change; labels and file names do not count."""
        content = {
            "stream": self.stream,
            "by": self.by,
            "time": self.time and self.time.text,
            "key": self.key and self.key.text,
            "fields": [[f.name, f.source.text, f.kind.name, f.merge, f.capacity] for f in self.fields],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def default_merge(kind: Kind) -> str:
    """Scalars: latest. Maps: latest per key. Counters: sum per key."""
    return "sum" if kind.is_counter else "latest"


def default_capacity(node: Node, kind: Kind) -> int | None:
    """Only maps from `match` are capped by default: their keys come from outside and only ever grow."""
    if isinstance(node, Call) and node.name == "match" and kind.is_map and not kind.is_counter:
        return DEFAULT_MATCH_CAPACITY
    return None
