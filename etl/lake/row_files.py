"""New Parquet files of tables, written group by group in a scratch folder until they get their places."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etl.lake.tables import NewFile, Table, commit, new_token, parquet_options, with_partition

# Texts that are the same in all of a file.
_ORDERED = ("load", "_attempt")


@dataclass
class _Growing:
    table: Table
    partition: Mapping[str, str]
    name: str
    waiting: Path
    schema: pa.Schema  # of the table
    columns: tuple[str, ...]
    rows: int = 0


class RowFiles:
    """Files of any number of tables. Until `commit` nothing of them stands in a table's folder, so nobody has to be kept
    from moving the table while they are made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str], list[_Growing]] = {}
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}

    def write(self, rows: pa.Table, table: Table, partition: Mapping[str, str], name: str, optional: Collection[str] = ()) -> None:
        """Adds rows (without the partition columns) to the file `name` of a table, as a group of it. Columns named in `optional`
        are left out of files in which none has a value, and where rows need one of them later they go to another file, whose
        name tells so before its last dot."""
        key = (str(table.path), name)
        files = self._files.setdefault(key, [])
        needed = {column for column in rows.column_names if column not in optional or rows[column].null_count < len(rows)}
        if not files or not needed.issubset(files[-1].columns):
            files.append(self._start(key, files, rows.schema, needed, table, partition))
        self._writers[key].write_table(rows.select(files[-1].columns))
        files[-1].rows += len(rows)

    def _start(
        self,
        key: tuple[str, str],
        before: Sequence[_Growing],
        schema: pa.Schema,
        needed: set[str],
        table: Table,
        partition: Mapping[str, str],
    ) -> _Growing:
        if before:
            self._writers.pop(key).close()
            needed = needed.union(before[-1].columns)
        written = pa.schema([column for column in schema if column.name in needed])
        head, dot, tail = key[1].rpartition(".")
        name = f"{head}.{len(before)}{dot}{tail}" if before else key[1]
        file = _Growing(table, partition, name, self._folder / f"{new_token()}.parquet", schema, tuple(written.names))
        self._writers[key] = pq.ParquetWriter(file.waiting, written, **parquet_options(table, written, _ORDERED))
        return file

    def close(self) -> None:
        """Ends the files so far; more rows cannot be added to them."""
        while self._writers:
            self._writers.popitem()[1].close()

    def discard(self) -> None:
        """Deletes what was written and is not committed."""
        self.close()
        for file in chain.from_iterable(self._files.values()):
            file.waiting.unlink()
        self._files = {}

    def commit(self) -> None:
        """Moves the files to their places and commits them, table by table."""
        self.close()
        by_table: dict[str, list[_Growing]] = {}
        for (path, _), files in self._files.items():
            by_table.setdefault(path, []).extend(files)
        for files in by_table.values():
            table = files[0].table
            commit(table, with_partition(files[0].schema, table), add=[_placed(file) for file in files])
        self._files = {}


def _placed(file: _Growing) -> NewFile:
    new = NewFile.placed(file.table, file.partition, file.name, file.rows)
    shutil.move(file.waiting, file.table.path / new.path)
    return new
