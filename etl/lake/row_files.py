"""New Parquet files of tables, written group by group in a scratch folder until they get their places."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
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
    schema: pa.Schema
    rows: int = 0


class RowFiles:
    """Files of any number of tables. Until `commit` nothing of them stands in a table's folder, so nobody has to be kept
    from moving the table while they are made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str], _Growing] = {}
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}

    def write(self, rows: pa.Table, table: Table, partition: Mapping[str, str], name: str) -> None:
        """Adds rows (without the partition columns) to the file `name` of a table, as a group of it."""
        key = (str(table.path), name)
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = _Growing(table, partition, name, self._folder / f"{new_token()}.parquet", rows.schema)
            self._writers[key] = pq.ParquetWriter(file.waiting, rows.schema, **parquet_options(rows.schema, _ORDERED))
        self._writers[key].write_table(rows)
        file.rows += len(rows)

    def close(self) -> None:
        """Ends the files so far; more rows cannot be added to them."""
        while self._writers:
            self._writers.popitem()[1].close()

    def discard(self) -> None:
        """Deletes what was written and is not committed."""
        self.close()
        for file in self._files.values():
            file.waiting.unlink()
        self._files = {}

    def commit(self) -> None:
        """Moves the files to their places and commits them, table by table."""
        self.close()
        by_table: dict[str, list[_Growing]] = {}
        for (path, _), file in self._files.items():
            by_table.setdefault(path, []).append(file)
        for files in by_table.values():
            table = files[0].table
            commit(table, with_partition(files[0].schema, table), add=[_placed(file) for file in files])
        self._files = {}


def _placed(file: _Growing) -> NewFile:
    new = NewFile.placed(file.table, file.partition, file.name, file.rows)
    shutil.move(file.waiting, file.table.path / new.path)
    return new
