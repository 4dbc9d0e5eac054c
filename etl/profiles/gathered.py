"""Contributions to profiles: read once, put away by ranges of profile ids where they are many, and merged range by range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from etl.engines.local import Connection, one_thread
from etl.engines.memory import give_back
from etl.engines.sorting import groups_by, sorted_by
from etl.lake.layers import Sizes, part_of
from etl.profiles.columns import merge_columns
from etl.profiles.fields import ProfileField
from etl.profiles.merge import Times

_ID, _PART = "profile_id", "_part"
# Held in memory; some people have a thousand long properties.
_MOST_BYTES = 64 * 1024 * 1024
_READ_ROWS = 8192
_FEW_PARTS = 64


class Gathered:
    """The merged contributions of each profile, in `parts` ranges of profile ids.

    They stay in memory as one range while they are few; else they go to one file, that has a batch of rows for each of
    `most_parts` ranges each time that memory is full. Merging takes longer than putting away, so what is put away is merged
    beforehand only where that leaves less than half of it.
    """

    def __init__(self, connection: Connection, fields: Sequence[ProfileField], most_parts: int, folder: Path, sizes: Sizes) -> None:
        self._fields, self._most_parts = fields, most_parts
        # Each batch costs something, and there are as many as ranges each time: with many ranges, more is put away at once.
        more = max(1.0, most_parts / _FEW_PARTS)
        self._at_once, self._most_bytes = max(int(sizes.rows * more) // 2, 1), int(_MOST_BYTES * more)
        # Contributions are read from one connection while they are merged on another.
        self._reading, self._merging = connection, connection.cursor()
        self._path = folder / "contributions.arrow"
        self._schema: pa.Schema | None = None
        self._held: list[pa.Table] = []
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._batches = 0

    @property
    def parts(self) -> int:
        return self._most_parts if self._writer else 1

    def take(self, queries: Iterable[str]) -> None:
        """Runs queries for contributions, with `profile_id`, one after the other. All of them have the same columns. To be called
        once, before the parts are asked for."""
        with one_thread(self._reading):
            for query in queries:
                placed = f"SELECT *, {part_of(_ID, self._most_parts)} AS {_PART} FROM ({query})"
                reader = self._reading.sql(placed).to_arrow_reader(min(self._at_once, _READ_ROWS))
                self._hold(reader.schema.empty_table())  # so that the columns are known
                while (batch := next(reader, None)) is not None:
                    self._hold(pa.Table.from_batches([batch]))
                    del batch
                    self._make_room()
        if self._writer:
            self._put_away()
            self._writer.close()

    def part(self, number: int) -> pa.Table:
        """The merged rows of a range, with `profile_id`."""
        give_back()
        rows = self._held
        if self._writer:
            with pa.OSFile(str(self._path)) as file:
                reader = pa.ipc.open_file(file)
                rows = [pa.Table.from_batches([reader.get_batch(n)]) for n in range(number, self._batches, self._most_parts)]
        return self._merged(pa.concat_tables(rows)).drop_columns(_PART)

    def close(self) -> None:
        self._merging.close()

    def _holds(self, rows: int, size: int) -> bool:
        """Whether more rows or bytes are held than these."""
        return sum(map(len, self._held)) > rows or sum(table.nbytes for table in self._held) > size

    def _hold(self, rows: pa.Table) -> None:
        self._schema = self._schema or self._merged(rows.slice(0, 0)).schema
        self._held.append(rows.select(self._schema.names).cast(self._schema))

    def _make_room(self) -> None:
        if not self._holds(self._at_once, self._most_bytes):
            return
        # What the database gave takes more memory than it has to.
        self._held = [pa.concat_tables(self._held).combine_chunks()]
        (rows,) = self._held
        if self._most_parts == 1 or groups_by(rows, [_ID]).count * 2 < len(rows):
            self._held = [self._merged(rows)]
        del rows
        if self._most_parts > 1 and self._holds(self._at_once // 2, self._most_bytes // 2):
            self._put_away()
        give_back()

    def _merged(self, contributions: pa.Table) -> pa.Table:
        groups = groups_by(contributions, [_ID])
        merged = merge_columns(self._merging, contributions, groups, self._fields, Times.STORED)
        a_row = pa.array(groups.order[groups.starts])
        for name in (_ID, _PART):
            merged = merged.append_column(name, contributions[name].take(a_row))
        return merged

    def _put_away(self) -> None:
        """Writes a batch for each range. They are read once and soon: compressing many small buffers takes longer than that saves."""
        held, self._held = self._held, []
        if not held:
            return
        rows = _batch(pa.concat_tables(held))
        held.clear()
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._path), rows.schema)
        parts = rows[_PART].to_numpy().astype(np.int64)
        ordered = rows.take(pa.array(sorted_by(parts)))
        del rows
        ends = np.cumsum(np.bincount(parts, minlength=self._most_parts)).tolist()
        for start, end in zip([0, *ends], ends, strict=False):
            self._writer.write_batch(ordered.slice(start, end - start))
        self._batches += self._most_parts


def _batch(rows: pa.Table) -> pa.RecordBatch:
    """A table as one batch."""
    (batch,) = rows.combine_chunks().to_batches() if len(rows) else [pa.RecordBatch.from_pylist([], schema=rows.schema)]
    return batch
