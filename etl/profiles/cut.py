"""Rows cut into ranges of keys that are worked on one after the other: memory is that of a range, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.engines.local import Connection
from etl.engines.sql import quote
from etl.lake.layers import Sizes, in_part, part_of

_MOST_GROUP = 122_880


@dataclass(frozen=True)
class Cut:
    """Rows in `parts` ranges of the column `key`: in the temporary table `name`, or in files of a folder."""

    name: str
    key: str
    parts: int
    folder: Path

    def part(self, number: int) -> str:
        """SQL for the rows of a range; one of them is all there is where there is but one range."""
        if self.parts == 1:
            return self.name
        # The file without rows tells the columns where a range has none.
        files = [self.folder / "none.parquet", *sorted(self.folder.glob(f"rows/_part={number}/*.parquet"))]
        return f"read_parquet([{', '.join(quote(str(file)) for file in files)}], union_by_name = true, hive_partitioning = false)"

    def range(self, number: int) -> str:
        """SQL that is true for the keys of a range."""
        return in_part(self.key, number, self.parts)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.parts))


def cut(connection: Connection, made: Cut, query: str, sizes: Sizes, narrow: int = 1) -> Cut:
    """Makes the rows of a query what `made` says: with one part a table, else files. `narrow` is how many rows are as large
    as a wide one."""
    if made.parts == 1:
        connection.execute(f"CREATE TEMP TABLE {made.name} AS {query}")
        return made
    made.folder.mkdir()
    # Files that are read once, and soon.
    form = "FORMAT parquet, COMPRESSION lz4_raw"
    # All files are open at once, and each holds a group in memory until it is full.
    at_once = sizes.rows * narrow * 4
    group = max(256, min(_MOST_GROUP, at_once // made.parts))
    connection.execute(f"SET partitioned_write_max_open_files = {max(made.parts, 100)}")
    connection.execute(f"SET partitioned_write_flush_threshold = {max(1024, at_once // 16)}")
    connection.execute(f"COPY (SELECT * FROM ({query}) LIMIT 0) TO {quote(str(made.folder / 'none.parquet'))} ({form})")
    rows = f"SELECT *, {part_of(made.key, made.parts)} AS _part FROM ({query})"
    options = f"{form}, PARTITION_BY (_part), ROW_GROUP_SIZE {group}"
    connection.execute(f"COPY ({rows}) TO {quote(str(made.folder / 'rows'))} ({options})")
    return made
