"""Rows cut into ranges of keys that are worked on one after the other: memory is that of a range, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.engines.local import Connection
from etl.engines.sql import quote
from etl.lake.layers import in_part, part_of


@dataclass(frozen=True)
class Cut:
    """Rows of a query in `parts` ranges of the column `key`: in the temporary table `name`, or in files of a folder."""

    name: str
    key: str
    parts: int
    folder: Path

    def part(self, number: int) -> str:
        """SQL for the rows of a range; one of them is all there is where there is but one range."""
        if self.parts == 1:
            return self.name
        files = self._files(number)
        return self._read(files) if files else f"(SELECT * FROM {self._read(self._any())} WHERE FALSE)"

    def whole(self) -> str:
        """SQL for all rows."""
        if self.parts == 1:
            return self.name
        return self._read([file for number in range(self.parts) for file in self._files(number)] or self._any())

    def range(self, number: int, key: str | None = None) -> str:
        """SQL that is true for the keys of a range, in a column of that name or another one."""
        return in_part(key or self.key, number, self.parts)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.parts))

    def _files(self, number: int) -> list[Path]:
        return sorted((self.folder / f"part={number}").glob("*.parquet"))

    def _any(self) -> list[Path]:
        return [self.folder / "none.parquet"]

    def _read(self, files: list[Path]) -> str:
        return f"read_parquet([{', '.join(quote(str(file)) for file in files)}], hive_partitioning = false)"


def cut(connection: Connection, scratch: Path, name: str, query: str, key: str, parts: int) -> Cut:
    """The rows of a query, cut. With one part they make the temporary table `name`, else files below `scratch`."""
    made = Cut(name, key, parts, scratch / name)
    if parts == 1:
        connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
        return made
    made.folder.mkdir()
    # Files that are read once, and soon.
    form = "FORMAT parquet, COMPRESSION lz4_raw"
    connection.execute(f"COPY (SELECT * FROM ({query}) LIMIT 0) TO {quote(str(made.folder / 'none.parquet'))} ({form})")
    numbered = f"SELECT *, {part_of(key, parts)} AS part FROM ({query})"
    # Within a statement a file for each range is open all the time, however many there are.
    connection.execute(f"SET partitioned_write_max_open_files = {max(parts, 100)}")
    connection.execute(f"COPY ({numbered}) TO {quote(str(made.folder))} ({form}, PARTITION_BY (part), OVERWRITE_OR_IGNORE)")
    return made
