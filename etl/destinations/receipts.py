"""What has become of each event of a file that is forwarded, durably: the receipt.

One JSON object a line, added and synced to disk after each answer. A process that is killed between an answer and its line
sends those events once more, under the same key, which their receiver drops. A last line that was cut short is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from etl.durable import sync_path
from etl.records import masked

_T = TypeVar("_T")


@dataclass(frozen=True)
class Outgoing:
    """One event on its way. `key` is what its receiver recognises a repetition by, `line` where it stands in its file.

    `feed` names which of several places of a destination it is for, `file` is the number of its file among those of a delivery.
    """

    key: str
    line: int
    event: dict[str, Any]
    feed: str = ""
    file: int = 0


@dataclass(frozen=True)
class Rejected:
    """An event that its receiver (or we) will never take: `code` for programs, `reason` in the receiver's words."""

    key: str
    line: int
    code: str
    reason: str
    text: str


@dataclass(frozen=True)
class Refusal:
    """An event that is not to be sent (again), and why."""

    out: Outgoing
    code: str
    reason: str

    @property
    def rejected(self) -> Rejected:
        text = masked(json.dumps(self.out.event, ensure_ascii=False, default=str))
        return Rejected(self.out.key, self.out.line, self.code, self.reason, text)


class Ledger(Protocol):
    """What a delivery asks and tells about its events: one file's receipt, or those of several files."""

    def settled(self, one: Outgoing) -> bool:
        """Whether nothing is left to do for this event."""

    def acknowledge(self, events: Sequence[Outgoing]) -> None:
        """The receiver has taken these events. They are on disk when this returns."""

    def refuse(self, events: Sequence[Refusal]) -> None:
        """These events are never sent again. They are on disk when this returns."""


@dataclass
class Delivered:
    """What a delivery did; `waiting` maps why events are left for a later one to how many they are."""

    acknowledged: int = 0
    rejected: int = 0
    requests: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    def wait(self, why: str, count: int) -> None:
        self.waiting[why] = self.waiting.get(why, 0) + count


class Receipt:
    """The receipt of one file. One process at a time may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.acknowledged: set[str] = set()
        self.rejections: dict[str, Rejected] = {}
        self._whole = 0
        self._read()

    def knows(self, key: str) -> bool:
        """Whether nothing is left to do for the event of this key."""
        return key in self.acknowledged or key in self.rejections

    def settled(self, one: Outgoing) -> bool:
        return self.knows(one.key)

    def acknowledge(self, events: Sequence[Outgoing]) -> None:
        keys = [one.key for one in events]
        self._add({"acknowledged": keys})
        self.acknowledged.update(keys)

    def refuse(self, events: Sequence[Refusal]) -> None:
        self.reject([one.rejected for one in events])

    def reject(self, events: Sequence[Rejected]) -> None:
        """These are never sent, events or not: a line may hold none."""
        if events:
            self._add({"rejected": [asdict(one) for one in events]})
            self.rejections |= {one.key: one for one in events}

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        self._whole = content.rfind(b"\n") + 1
        for line in content[: self._whole].splitlines():
            entry = json.loads(line)
            self.acknowledged.update(entry.get("acknowledged", ()))
            self.rejections |= {one["key"]: Rejected(**one) for one in entry.get("rejected", ())}

    def _add(self, entry: dict[str, Any]) -> None:
        new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("r+b" if not new else "xb") as file:
            # Over whatever a killed process left of a line.
            file.truncate(self._whole)
            file.seek(self._whole)
            file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._whole = file.tell()
        if new:
            sync_path(self._path.parent)


class Receipts:
    """The receipts of several files, by their numbers."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self._receipts = receipts

    def settled(self, one: Outgoing) -> bool:
        return self._receipts[one.file].settled(one)

    def acknowledge(self, events: Sequence[Outgoing]) -> None:
        for file, own in _by_file(events, lambda one: one.file):
            self._receipts[file].acknowledge(own)

    def refuse(self, events: Sequence[Refusal]) -> None:
        for file, own in _by_file(events, lambda one: one.out.file):
            self._receipts[file].refuse(own)


def _by_file(events: Iterable[_T], file_of: Callable[[_T], int]) -> Iterator[tuple[int, list[_T]]]:
    found: dict[int, list[_T]] = {}
    for one in events:
        found.setdefault(file_of(one), []).append(one)
    yield from found.items()
