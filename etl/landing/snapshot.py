"""A cohort file to an attempt: the members as they came, and the leavers that the file does not name."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl.errors import SnapshotRefused
from etl.landing.manifest import Landed, LoadId
from etl.landing.readers import inflate
from etl.landing.store import arriving, place

STREAM = "amplitude_cohorts"
MEMBERS, EXITS = "members.csv", "exits.jsonl"
# The `basis` of a snapshot whose job writes no exits: it adds members and says nothing of leavers.
ADDS_ONLY = "off"

# A file with fewer rows than this share of the listed size is not believed; sizes are counted at the same moment.
LEAST_SHARE = 0.9
SMALLEST_GUARDED = 20


@dataclass(frozen=True)
class Snapshot:
    """One cohort at one moment. `last_computed` is in epoch seconds."""

    cohort_id: str
    cohort_name: str
    last_computed: int
    size: int | None
    scope: str

    @property
    def load(self) -> LoadId:
        return LoadId(STREAM, self.scope, f"{self.cohort_id}/{self.last_computed}")

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.last_computed, UTC)

    def extra(self) -> dict[str, Any]:
        """What a member row needs beside its cells."""
        return {
            "cohort_id": self.cohort_id,
            "cohort_name": self.cohort_name,
            "cohort_membership": True,
            "last_computed": self.last_computed,
        }


@dataclass(frozen=True)
class Before:
    """What is known when the exits are derived: the members of the snapshot before with the user ids of their rows, its
    name then, and whether another cohort that has a name now holds a member."""

    rows: frozenset[tuple[str, str]]
    name: str
    holds: Callable[[str, str], bool] = field(default=lambda name, member: False)

    @property
    def members(self) -> frozenset[str]:
        return frozenset(member for member, _ in self.rows)


def rows_of(data: bytes) -> Iterator[dict[str, str]]:
    """Member rows without their empty cells. Of a header name that stands twice the first column counts; a leading TAB
    is cut off. Raises SnapshotRefused for a file that is no table of members."""
    return (row for _, row in numbered_rows(data))


def numbered_rows(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """The same with the number of each row; the header has 1, and blank rows count."""
    text = data.decode("utf-8-sig", errors="strict")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.lstrip("\t") for name in next(reader, [])]
        if header and not {"amplitude_id", "user_id", "group_value"} & set(header):
            raise SnapshotRefused("the cohort file has no column of ids", value=", ".join(header))
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            if len(row) != len(header):
                raise SnapshotRefused(
                    "a row of the cohort file has another number of cells than the header",
                    where={"line": reader.line_num},
                )
            cells: dict[str, str] = {}
            for name, cell in zip(header, row, strict=True):
                if cell != "":
                    cells.setdefault(name, cell.lstrip("\t"))
            yield number, cells
    except csv.Error as error:
        raise SnapshotRefused("the cohort file is cut short or damaged", where={"line": reader.line_num}, value=str(error)) from error


def snapshot_texts(data: bytes, extra: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Each member row as `(row number, JSON text of a record)`, numbered as `numbered_rows` does."""
    for number, row in numbered_rows(data):
        yield number, json.dumps({**row, **extra}, ensure_ascii=False)


def member_of(row: Mapping[str, Any]) -> str | None:
    """The identity of a member within snapshots: its Amplitude id, else its user id marked as such."""
    if row.get("amplitude_id"):
        return str(row["amplitude_id"])
    return f"user:{row['user_id']}" if row.get("user_id") else None


def members_in(folder: Path) -> frozenset[tuple[str, str]]:
    """The members of a landed snapshot, each with the user id of its row (empty: none)."""
    rows = rows_of(inflate(folder / MEMBERS))
    return frozenset((member, row.get("user_id", "")) for row in rows if (member := member_of(row)) is not None)


def checked_members(snapshot: Snapshot, file: Path) -> frozenset[str]:
    """The members in a downloaded file. Raises SnapshotRefused when it is damaged, short, or empty with a size above 0."""
    where = {"cohort": f"{snapshot.cohort_name} ({snapshot.cohort_id})"}
    count = 0
    members: set[str] = set()
    try:
        for row in rows_of(inflate(file)):
            count += 1
            if (member := member_of(row)) is not None:
                members.add(member)
    except UnicodeDecodeError as error:
        raise SnapshotRefused("the cohort file is not UTF-8 text", where=where, value=str(error)) from error
    except SnapshotRefused as error:
        raise error.at(**where) from None
    if snapshot.size and count < snapshot.size * LEAST_SHARE:
        what = "the cohort file is empty" if count == 0 else "the cohort file is short"
        raise SnapshotRefused(
            what,
            where=where,
            value=f"{count} rows, the list says {snapshot.size} members",
            next_step="run again; nothing was changed",
        )
    return frozenset(members)


def exit_records(snapshot: Snapshot, now: frozenset[tuple[str, str]], before: Before) -> Iterator[dict[str, Any]]:
    """Records with membership false: who left, and, after a rename, everybody's old name.

    Each has the identifiers that its row had, so that it reaches the profile that the row reached, even where several
    users share an Amplitude id. A name is set to false only where no other cohort that has it now holds the member.
    """
    renamed = before.name != snapshot.cohort_name
    for member, user in sorted(before.rows if renamed else before.rows - now):
        record: dict[str, Any] = {"cohort_membership": False, "last_computed": snapshot.last_computed}
        record |= {} if member.startswith("user:") else {"amplitude_id": member}
        record |= {"user_id": user} if user else {}
        if (member, user) not in now:
            record["cohort_id"] = snapshot.cohort_id
        if not before.holds(before.name, member):
            record["cohort_name"] = before.name
        if "cohort_id" in record or "cohort_name" in record:
            yield record


def count_exits(members: frozenset[str], before: Before) -> int:
    """How many members of the snapshot before are not in this one."""
    return len(before.members - members)


def check_exits(snapshot: Snapshot, members: frozenset[str], before: Before, most: float) -> None:
    """Raises SnapshotRefused when a larger share than `most` left a cohort of 20 members or more."""
    left = count_exits(members, before)
    if len(before.members) >= SMALLEST_GUARDED and left > most * len(before.members):
        raise SnapshotRefused(
            "more members left than `max_exit_share` allows",
            where={"cohort": f"{snapshot.cohort_name} ({snapshot.cohort_id})"},
            value=f"{left} of {len(before.members)} left, allowed are {most:.0%}",
            next_step=f"if that is right, run with --accept-exits {snapshot.cohort_id}; nothing was changed",
        )


def land_snapshot(landing: Path, snapshot: Snapshot, file: Path, before: Before | None, details: Mapping[str, Any]) -> Landed:
    """The attempt of a snapshot: `file` (moved there) and the exits since `before` (None: no exits are written)."""
    attempt = secrets.token_hex(8)
    with arriving(landing, attempt) as folder:
        file.replace(folder / MEMBERS)
        size = (folder / MEMBERS).stat().st_size
        names: tuple[str, ...] = (MEMBERS,)
        exits = 0
        if before is not None:
            now = members_in(folder)
            exits = count_exits(frozenset(member for member, _ in now), before)
            with (folder / EXITS).open("w", encoding="utf-8") as target:
                for record in exit_records(snapshot, now, before):
                    target.write(json.dumps(record, ensure_ascii=False) + "\n")
            names = (MEMBERS, EXITS)
        content = {
            **downloaded(snapshot, folder).details,
            "exits": exits if before is not None else None,
            **details,
        }
        return place(landing, Landed(snapshot.load, attempt, folder, names, snapshot.time, size, content))


def downloaded(snapshot: Snapshot, folder: Path) -> Landed:
    """A snapshot whose members file stands in `folder`, before it is an attempt."""
    details = {
        "cohort_id": snapshot.cohort_id,
        "cohort_name": snapshot.cohort_name,
        "last_computed": snapshot.last_computed,
        "size": snapshot.size,
    }
    return Landed(snapshot.load, "", folder, (MEMBERS,), snapshot.time, details=details)


def copy_members(landed: Landed, folder: Path) -> Path:
    """A copy of the members file of an attempt, for another attempt of the same snapshot."""
    target = folder / MEMBERS
    target.write_bytes((landed.folder / MEMBERS).read_bytes())
    return target


def snapshot_of(landed: Landed) -> Snapshot:
    """The snapshot that an attempt holds."""
    details = landed.details
    return Snapshot(details["cohort_id"], details["cohort_name"], details["last_computed"], details["size"], landed.load.scope)
