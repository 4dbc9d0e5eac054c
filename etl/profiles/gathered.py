"""Contributions to profiles: read once, put away by ranges of profile ids where they are many, and merged range by range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from etl.engines.local import Connection, one_thread
from etl.engines.memory import give_back
from etl.engines.sorting import groups_by, sorted_by, whole
from etl.lake.layers import Sizes, part_of
from etl.profiles.columns import merge_columns
from etl.profiles.contributions import ID, PART, Contributions
from etl.profiles.fields import ProfileField
from etl.profiles.merge import Times

# Held in memory; some people have a thousand long properties.
_MOST_BYTES = 64 * 1024 * 1024
_READ_ROWS = 16_384
_FEW_PARTS = 64


@dataclass(frozen=True)
class _Place:
    """Where a batch stands in the file, and its columns."""

    start: int
    size: int
    schema: pa.Schema


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
        self._schema = pa.schema([])
        self._held: list[pa.Table] = []
        # What was put away of each range.
        self._places: list[list[_Place]] = [[] for _ in range(most_parts)]

    @property
    def parts(self) -> int:
        return self._most_parts if self._has_put_away else 1

    @property
    def _has_put_away(self) -> bool:
        return any(self._places)

    def take(self, contributions: Iterable[Contributions]) -> None:
        """Reads contributions, one after the other. All of them have the same columns. To be called once, before the parts are
        asked for."""
        part = part_of(ID, self._most_parts)
        with one_thread(self._reading):
            for some in contributions:
                read = some.read(self._reading, part, min(self._at_once, _READ_ROWS))
                nothing = next(read)
                if not self._schema.names:
                    self._schema = self._merged(nothing).schema
                while (rows := next(read, None)) is not None:
                    self._hold(rows)
                    del rows
                    self._make_room()
        if self._has_put_away:
            self._put_away()

    def part(self, number: int) -> pa.Table:
        """The merged rows of a range, with `profile_id`."""
        give_back()
        held = self._held
        if self._has_put_away:
            with self._path.open("rb") as file:
                held = [_read(file, place) for place in self._places[number]]
        return self._merged(_together(held)).cast(self._schema).drop_columns(PART)

    def close(self) -> None:
        self._merging.close()

    def _holds(self, rows: int, size: int) -> bool:
        """Whether more rows or bytes are held than these."""
        return sum(map(len, self._held)) > rows or sum(table.nbytes for table in self._held) > size

    def _hold(self, rows: pa.Table) -> None:
        there = set(rows.column_names)
        known = pa.schema([column for column in self._schema if column.name in there])
        if len(rows):
            self._held.append(_without_nulls(rows.select(known.names).cast(known)))

    def _make_room(self) -> None:
        if not self._holds(self._at_once, self._most_bytes):
            return
        rows = _together(self._held)
        if self._most_parts == 1 or groups_by(rows.select([ID]), [ID]).count * 2 < len(rows):
            self._held = [_without_nulls(self._merged(rows))]
        del rows
        if self._most_parts > 1 and self._holds(self._at_once // 2, self._most_bytes // 2):
            self._put_away()
        give_back()

    def _merged(self, contributions: pa.Table) -> pa.Table:
        contributions = self._with_nulls(contributions)
        groups = groups_by(contributions, [ID])
        merged = merge_columns(self._merging, contributions, groups, self._fields, Times.STORED)
        a_row = pa.array(groups.order[groups.starts])
        for name in (ID, PART):
            merged = merged.append_column(name, contributions[name].take(a_row))
        return merged

    def _with_nulls(self, rows: pa.Table) -> pa.Table:
        """Rows with every column."""
        there = set(rows.column_names)
        for column in self._schema:
            if column.name not in there:
                rows = rows.append_column(column, pa.nulls(len(rows), column.type))
        return rows

    def _put_away(self) -> None:
        """Writes a batch for each range. They are read once and soon: compressing many small buffers takes longer than that saves."""
        rows, self._held = _together(self._held), []
        if not len(rows):
            return
        parts = rows[PART].to_numpy().astype(np.int64)
        order, made = pa.array(sorted_by(parts)), {}
        for name in rows.column_names:
            # A column at a time, so that there is not much that is there twice.
            made[name] = whole(rows[name]).take(order)
            rows = rows.drop_columns(name)
        ordered = pa.RecordBatch.from_pydict(made)
        ends = np.cumsum(np.bincount(parts, minlength=self._most_parts)).tolist()
        with self._path.open("ab") as file:
            for start, end, places in zip([0, *ends], ends, self._places, strict=False):
                if start < end:
                    # One piece each: a call for every buffer of every column would take most of the time.
                    written = ordered.slice(start, end - start).serialize()
                    places.append(_Place(file.tell(), written.size, ordered.schema))
                    file.write(written)


def _read(file: BinaryIO, place: _Place) -> pa.Table:
    file.seek(place.start)
    batch = pa.ipc.read_record_batch(pa.py_buffer(file.read(place.size)), place.schema)
    return pa.Table.from_batches([batch])


def _without_nulls(rows: pa.Table) -> pa.Table:
    """Rows without the columns in which none has a value: there are many, and each takes as long as another one."""
    return rows.select([name for name in rows.column_names if rows[name].null_count < len(rows)])


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables; columns that only some of them have are null in the others."""
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
