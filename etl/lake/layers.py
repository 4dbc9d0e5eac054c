"""Tables to which each build adds a little: of the rows of a key, the one with the greatest `_build` counts.

The base holds one row for each key, in files that each hold a range of keys. Beside it stand recent files, with what builds
since then wrote: new rows of keys, and rows that say that a key is gone. They are folded into the base when they have grown
to a share of it, so that a build costs what it touches and reading costs hardly more than one row for each key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from etl.engines.local import Connection
from etl.engines.sql import identifier, quote
from etl.lake.tables import DataFile, NewFile, Table, discard, new_token, relation, write_file, write_rows

PARTITION = "bucket"
# The bucket of recent files; those of the base are numbered from 0.
_RECENT = "-1"
_MOST_PARTS = 256
# Small enough that a fold, which takes a range of keys at a time, reads little else of a recent file.
_RECENT_GROUP = 4096


@dataclass(frozen=True)
class Sizes:
    """When recent rows are folded into the base: above this `share` of its rows. Each row that a build writes is then written
    again about 1/share times, whatever the size of the table. With more than so many recent `files`, which every reader
    opens, they become one (or a file for each range, if they are large). A statement over wide rows takes about so many
    `rows` at once: with more it spills to disk, which costs more than cutting them into ranges of keys."""

    share: float = 0.2
    files: int = 16
    rows: int = 32_000


DEFAULT_SIZES = Sizes()


@dataclass(frozen=True)
class Layers:
    """`key` is a column of hexadecimal hashes; `gone` is SQL that is true for a row that says its key is gone. `narrow` is how
    many rows are as large as one wide row."""

    key: str
    gone: str
    narrow: int = 1

    def current(self, table: Table, files: Iterable[DataFile], where: str = "TRUE", keys: str = "TRUE") -> str | None:
        """SQL for the rows that count, among files of a version of the table; None where there are no files.

        `where` is a condition on rows, `keys` one on the key alone: they are asked before rows are compared.
        """
        base, recent = _told_apart(files)
        columns = f"* EXCLUDE ({PARTITION})"
        source, newer = (relation(table, (file.path for file in some)) for some in (base, recent))
        parts = []
        if source is not None:
            rows = f"SELECT {columns} FROM {source} WHERE ({where}) AND ({keys})"
            over = "" if newer is None else f" ANTI JOIN (SELECT {self.key} FROM {newer} WHERE {keys}) newer USING ({self.key})"
            parts.append(f"SELECT older.* FROM ({rows}) older{over}")
        if newer is not None:
            parts.append(f"SELECT * FROM ({self._newest(newer, where, keys)}) WHERE NOT ({self.gone})")
        return f"({' UNION ALL BY NAME '.join(parts)})" if parts else None

    def _newest(self, newer: str, where: str, keys: str) -> str:
        """SQL for the newest row of each key in recent files, rows that say it is gone included."""
        newest = f"SELECT {self.key}, max(_build) AS _build FROM {newer} WHERE {keys} GROUP BY {self.key}"
        rows = f"SELECT * EXCLUDE ({PARTITION}) FROM {newer} WHERE ({where}) AND ({keys})"
        return f"SELECT row_.* FROM ({rows}) row_ SEMI JOIN ({newest}) newest USING ({self.key}, _build)"

    def write_base(self, connection: Connection, table: Table, query: str, bucket: int) -> list[NewFile]:
        """Writes the rows of a query, all those in a range of keys, as a file of the base."""
        file = write_file(connection, query, table, {PARTITION: str(bucket)}, new_token())
        return [file] if file else []

    def write_base_rows(self, table: Table, rows: pa.Table, bucket: int) -> list[NewFile]:
        """The same for rows that are there."""
        return [write_rows(rows, table, {PARTITION: str(bucket)}, new_token())] if len(rows) else []

    def write_recent(self, connection: Connection, table: Table, query: str) -> list[NewFile]:
        """Writes the rows of a query, which are newer than all others of their keys, as a recent file."""
        ordered = f"SELECT * FROM ({query}) ORDER BY {identifier(self.key)}"
        file = write_file(connection, ordered, table, {PARTITION: _RECENT}, new_token(), group=_RECENT_GROUP)
        return [file] if file else []

    def settle(
        self, connection: Connection, table: Table, files: Sequence[DataFile], new: Sequence[NewFile], sizes: Sizes
    ) -> tuple[list[NewFile], list[str]]:
        """What to commit where `new` recent files come to `files`: files to be added and paths to be removed. Where it is
        time to, the recent files are folded into the base, or made one."""
        base, recent = _told_apart(files)
        everything = [*files, *(_committed(table, file) for file in new)]
        rows = sum(file.rows for file in recent) + sum(file.rows for file in new)
        if not base or rows > sizes.share * sum(file.rows for file in base):
            folded = self.fold(connection, table, everything, sizes)
            discard(table, new)
            return folded, [file.path for file in files]
        parts = self.parts_for(rows, sizes)
        if new and len(recent) + len(new) >= sizes.files + parts:
            newer = relation(table, (file.path for file in _told_apart(everything)[1]))
            assert newer is not None  # there are new files
            ranges = [self._newest(newer, "TRUE", in_part(self.key, part, parts)) for part in range(parts)]
            together = [file for query in ranges for file in self.write_recent(connection, table, query)]
            discard(table, new)
            return together, [file.path for file in recent]
        return list(new), []

    def fold(self, connection: Connection, table: Table, files: Sequence[DataFile], sizes: Sizes) -> list[NewFile]:
        """Writes the base anew from files, a range of keys at a time."""
        parts = self.parts_for(sum(file.rows for file in files), sizes)
        written = []
        for part in range(parts):
            rows = self.current(table, files, keys=in_part(self.key, part, parts))
            written += self.write_base(connection, table, f"SELECT * FROM {rows}", part) if rows else []
        return written

    def parts_for(self, rows: int, sizes: Sizes) -> int:
        """Into how many ranges of keys to cut so many rows."""
        return max(1, min(_MOST_PARTS, -(-rows // (sizes.rows * self.narrow))))


def is_folded(files: Iterable[DataFile]) -> bool:
    """Whether the base is all there is: each key has one row."""
    return not _told_apart(files)[1]


def part_of(key: str, parts: int) -> str:
    """SQL for the number of the range that a key lies in."""
    return f"CAST(('0x' || left({key}, 4)) AS INTEGER) * {parts} // 65536"


def in_part(key: str, part: int, parts: int) -> str:
    """SQL that is true for the keys of a range; files and row groups of other ranges are passed over by their statistics."""
    first, end = (-(-number * 65536 // parts) for number in (part, part + 1))
    conditions = [f"{key} >= {quote(f'{first:04x}')}"] if part else []
    conditions += [f"{key} < {quote(f'{end:04x}')}"] if end < 65536 else []
    return " AND ".join(conditions) or "TRUE"


def _told_apart(files: Iterable[DataFile]) -> tuple[list[DataFile], list[DataFile]]:
    """The files of the base and the recent ones."""
    every = list(files)
    recent = [file for file in every if file.partition[PARTITION] == _RECENT]
    return [file for file in every if file.partition[PARTITION] != _RECENT], recent


def _committed(table: Table, file: NewFile) -> DataFile:
    """A new file as it will be once it is committed."""
    return DataFile(file.path, file.rows, (table.path / file.path).stat().st_size, file.partition)
