"""The `loads` table: which attempt of which load counts. A row here is the commit point of a load.

Rows are only ever added, numbered by `sequence` (the table's version that added them): the newest row of a load is the
one in force, and the state at any earlier moment is the newest rows up to its sequence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime

import pyarrow as pa

from etl.engines.local import Connection, connect, rows
from etl.engines.sql import quote
from etl.errors import LakeConflict
from etl.lake.layout import Lake
from etl.lake.tables import CommitConflict, commit, files_of, new_token, relation, version_of, write_rows

# The stream of files that were sent on: they have no rows in the lake, and no profile comes of them.
FORWARDING = "forwarding"
_ATTEMPTS = 50

_TYPES: dict[str, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Load:
    """A committed load. `lines` = `records` + `rejects`; `rows` are what counts: `records` less `duplicates` and those
    that the mapping's `where` does not let through.

    `time` is the upload hour or the cohort's `lastComputed`, `date` its day. `misfits` and `details` are JSON texts:
    what came of each field (values, missing, misfits, ..), and what the source wants to remember (a cohort's name, say).
    """

    load: str
    stream: str
    scope: str
    unit: str
    attempt: str
    date: date
    time: datetime
    lines: int
    records: int
    rows: int
    duplicates: int
    rejects: int
    unidentified: int
    early: int
    bytes: int
    digest: str
    mapping: str
    job: str
    misfits: str
    details: str
    committed_at: datetime
    sequence: int = 0


_SCHEMA = pa.schema([(column.name, _TYPES[str(column.type)]) for column in fields(Load)])


def all_loads(
    lake: Lake, *, forwarded: bool = False, named: Iterable[str] | None = None, connection: Connection | None = None
) -> list[Load]:
    """Every row ever committed, oldest first; with `named` only those of these loads.

    Files that were sent on are among them only where `forwarded` asks for it: there are many, and nothing else reads them.
    Who has a `connection` gives it: opening one takes longer than reading does.
    """
    source = relation(lake.loads, (file.path for file in files_of(lake.loads) if forwarded or file.partition["stream"] != FORWARDING))
    if source is None:
        return []
    names = ", ".join(column.name for column in fields(Load))
    chosen = "" if named is None else f"WHERE load IN ({', '.join(quote(name) for name in named) or quote('')})"
    with contextlib.nullcontext(connection) if connection else contextlib.closing(connect()) as database:
        return [Load(**row) for row in rows(database, f"SELECT {names} FROM {source} {chosen} ORDER BY sequence, load")]


def in_force(committed: Iterable[Load], up_to: int | None = None) -> dict[str, Load]:
    """The newest row of each load by load id, at the sequence `up_to` (None: now)."""
    return {row.load: row for row in committed if up_to is None or row.sequence <= up_to}


def current_loads(lake: Lake, *, forwarded: bool = False, connection: Connection | None = None) -> dict[str, Load]:
    """The loads in force now, by load id; files that were sent on where `forwarded` asks for them."""
    return in_force(all_loads(lake, forwarded=forwarded, connection=connection))


def commit_loads(
    lake: Lake, new: Sequence[Load], still_wanted: Callable[[Load, Load | None], bool], *, connection: Connection | None = None
) -> list[Load]:
    """Puts loads in force in one commit, and returns those that were.

    `still_wanted(new, in_force_now)` is asked for each load whenever another writer was faster, so that two runs that
    land the same hour do not both count it.
    """
    for _ in range(_ATTEMPTS):
        version = version_of(lake.loads)
        now = in_force(all_loads(lake, forwarded=True, named=[load.load for load in new], connection=connection))
        wanted = [load for load in new if still_wanted(load, now.get(load.load))]
        if not wanted:
            return []
        # Creating the table is a commit of its own, so the first rows are added by version 1.
        numbered = [replace(load, sequence=max(version, 0) + 1) for load in wanted]
        try:
            _append(lake, numbered, version)
        except CommitConflict:
            continue
        return numbered
    raise LakeConflict("other writers changed the table `loads` again and again", next_step="run again")


def compact_loads(lake: Lake) -> None:
    """Rewrites the table's files as one per stream; every row stays. Does nothing when another writer is at work."""
    files = files_of(lake.loads)
    if len(files) <= len({file.partition["stream"] for file in files}):
        return
    version = version_of(lake.loads)
    with contextlib.suppress(CommitConflict):
        _append(lake, all_loads(lake, forwarded=True), version, remove=[file.path for file in files])


def rewrite_loads(lake: Lake, change: Callable[[Load], Load]) -> int:
    """Changes rows of any age in place, those in force included, without giving them new numbers; how many changed."""
    for _ in range(_ATTEMPTS):
        version, files, old = version_of(lake.loads), files_of(lake.loads), all_loads(lake, forwarded=True)
        new = [change(load) for load in old]
        if new == old:
            return 0
        with contextlib.suppress(CommitConflict):
            _append(lake, new, version, remove=[file.path for file in files])
            return sum(1 for one, other in zip(old, new, strict=True) if one != other)
    raise LakeConflict("other writers changed the table `loads` again and again", next_step="run again")


def _append(lake: Lake, numbered: Sequence[Load], version: int, remove: Sequence[str] = ()) -> None:
    written = []
    for stream in sorted({load.stream for load in numbered}):
        batch = pa.Table.from_pylist([vars(load) for load in numbered if load.stream == stream], schema=_SCHEMA)
        written.append(write_rows(batch.drop_columns("stream"), lake.loads, {"stream": stream}, new_token()))
    commit(lake.loads, _SCHEMA, add=written, remove=remove, expected_version=version)
