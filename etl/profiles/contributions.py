"""Where contributions to profiles come from: a query, or files of fragments as they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etl.engines.local import Connection, arrow
from etl.engines.sorting import sorted_by
from etl.engines.sql import quote

ID, PART = "profile_id", "_part"
# Names by which a database tells where a row stands; a column of such a name hides them.
PLACES = frozenset(("filename", "file_index", "file_row_number"))
_MOST_ROWS = 1 << 32  # of a file


class Contributions(Protocol):
    def read(self, connection: Connection, part: str, at_once: int) -> Iterator[pa.Table]:
        """Tables with `profile_id`, `_part`, which the SQL `part` gives from it, and columns of merged rows, some of which may be
        missing. The first has no rows and all columns; the others have about `at_once` rows."""


@dataclass(frozen=True)
class Queried:
    """The contributions that a query gives."""

    query: str

    def read(self, connection: Connection, part: str, at_once: int) -> Iterator[pa.Table]:
        reader = connection.sql(f"SELECT *, {part} AS {PART} FROM ({self.query})").to_arrow_reader(at_once)
        yield reader.schema.empty_table()
        while (batch := next(reader, None)) is not None:
            yield pa.Table.from_batches([batch])


@dataclass(frozen=True)
class Stored:
    """Fragments of loads that count as they are. Passing wide rows through a join takes a database longer than reading them, so
    it finds but the profile of each.

    `nothing` is a query with the columns of contributions, and no rows. `owners` gives SQL for `profile_id`, `file_index`,
    `file_row_number` and `_named` of fragments, of which it has the id columns. Not for files with a column of `PLACES`.
    """

    paths: Sequence[Path]
    nothing: str
    owners: Callable[[str], str]

    def read(self, connection: Connection, part: str, at_once: int) -> Iterator[pa.Table]:
        nothing = arrow(connection, f"SELECT *, {part} AS {PART} FROM ({self.nothing})")
        yield nothing
        if not self.paths:
            return
        listed = ", ".join(quote(str(path)) for path in self.paths)
        files = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false, file_row_number = true)"
        # Names are long, and one of each file is enough.
        named = "CASE WHEN file_row_number = 0 THEN filename END AS _named"
        places = f"SELECT COLUMNS('^_id_'), file_index, file_row_number, {named} FROM {files}"
        owners = f"SELECT file_index, file_row_number, _named, {ID}, {part} AS {PART} FROM ({self.owners(f'({places})')})"
        found = arrow(connection, owners)
        of_file = found["file_index"].to_numpy().astype(np.int64)
        order = sorted_by(of_file * _MOST_ROWS + found["file_row_number"].to_numpy())
        found, of_file = found.take(pa.array(order)), of_file[order]
        for place, path in enumerate(self.paths):
            first, end = np.searchsorted(of_file, [place, place + 1])
            owned = found.slice(first, end - first)
            if len(owned):
                name = owned["_named"][0].as_py()
                if name is not None and Path(name).name != path.name:
                    raise RuntimeError(f"file {place} of those that were read is {name} instead of {path}")
                yield from _owned(path, owned, nothing.column_names, at_once)


def _owned(path: Path, owners: pa.Table, columns: Sequence[str], at_once: int) -> Iterator[pa.Table]:
    """The rows of a file that have owners, in its order, which is that of `owners`."""
    rows = owners["file_row_number"].to_numpy()
    before = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(at_once, columns=columns, use_threads=False):
            read = pa.Table.from_batches([batch])
            first, last = np.searchsorted(rows, [before, before + len(read)])
            some = rows[first:last] - before
            kept = read if len(some) == len(read) else read.take(pa.array(some))
            owned = owners.slice(first, last - first)
            yield kept.append_column(ID, owned[ID]).append_column(PART, owned[PART])
            before += len(read)
