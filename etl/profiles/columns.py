"""Merging column by column: what `merge_query` says, several times as fast for the operators that most fields have.

Groups and keys become numbers, so that finding the latest of each sorts integers; no value is looked at but where
two have one time. What is rare is left to the SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.latest import Counting, counting_rows, decided
from etl.engines.local import Connection, arrow
from etl.engines.sorting import Groups, Ints, extremes, sorted_by, starts_of, text_codes, whole
from etl.engines.sql import named
from etl.profiles.fields import ProfileField
from etl.profiles.merge import Times, capped_in_state, merge_query, parts_column, state_columns, text_order, time_column

_MOMENT = pa.timestamp("us", tz="UTC")
_MOST_SUM = 2**62
_GROUP = "_n"
Columns = dict[str, pa.Array]


def merge_columns(connection: Connection, rows: pa.Table, groups: Groups, fields: Sequence[ProfileField], times: Times) -> pa.Table:
    """What `merge_query` gives for the groups of `rows`, in the order of their numbers and without the columns of the group.

    `times` tells whether each row stores the times of its values, or is a record, whose `_last` is its `_time`.
    """
    order, starts = groups.order, groups.starts
    first, records = (_integers(whole(rows[name]))[order] for name in ("_first", "_records"))
    merging = _Merging(connection, rows, groups, times)
    made: Columns = {
        "_first": _moments(np.minimum.reduceat(first, starts)),
        "_last": _moments(merging.last),
        "_records": pa.array(np.add.reduceat(records, starts, dtype=np.int64)),
    }
    left = []
    for field in fields:
        found = merging.merged(field)
        made |= found or {}
        left += [] if found else [field]
    if left:
        made |= _by_sql(connection, rows, groups, left, times)
    names = ["_first", "_last", "_records", *map(named, state_columns(fields))]
    return pa.table({name: made[name] for name in names})


def _by_sql(connection: Connection, rows: pa.Table, groups: Groups, fields: Sequence[ProfileField], times: Times) -> Columns:
    states = [*map(named, state_columns(fields))]
    needed = {"_first", "_last", "_records", "_time", *states}
    source = rows.select([name for name in rows.column_names if name in needed]).append_column(_GROUP, pa.array(groups.of_row))
    connection.register("to_merge", source)
    grouped = f"(SELECT * FROM to_merge WHERE {_GROUP} >= 0)"
    found = arrow(connection, f"SELECT * FROM ({merge_query(grouped, [_GROUP], fields, times)}) ORDER BY {_GROUP}")
    connection.unregister("to_merge")
    return {name: found[name] for name in states}


@dataclass(frozen=True)
class _Entries:
    """Keys of the maps of some rows, group by group: of each its row, its place among the keys and values of all maps, and
    `code`, the number of its group and key together; `names` are the keys by number."""

    row: Ints
    item: Ints
    code: Ints
    names: pa.Array


@dataclass(frozen=True)
class _Merging:
    connection: Connection
    rows: pa.Table
    groups: Groups
    times: Times

    def merged(self, field: ProfileField) -> Columns | None:
        """The columns of a field; None where it has to go the other way."""
        time, is_latest = time_column(field), field.merge in ("latest", "oldest")
        if field.kind.is_list or not (is_latest or (field.kind.is_counter and time is None)):
            return None
        column = whole(self.rows[field.name])
        if field.kind.is_map and pa.types.is_map(column.type):
            return self._counted(field, column) if time is None else self._map(field, column, named(time))
        return None if time is None else self._scalar(field, column, named(time))

    def _scalar(self, field: ProfileField, column: pa.Array, time: str) -> Columns:
        groups, latest = self.groups, field.merge == "latest"
        if column.null_count == len(column):
            return {field.name: pa.nulls(groups.count, column.type), time: pa.nulls(groups.count, _MOMENT)}
        own = self._times(time)
        times = self._last if own is None else own
        if own is None and column.null_count == 0:
            found = self._latest if latest else self._oldest
        else:
            found = counting_rows(groups, column, times, latest=latest)
        rows = decided(groups, found, column, times, partial(self._ranks, column, field.kind_name), latest=latest)
        moments = self._moments(times[rows], found.none)
        return {field.name: column.take(pa.array(rows, mask=found.none if found.none.any() else None)), time: moments}

    def _times(self, time: str) -> Ints | None:
        """When the values of a column were seen, row by row; None where each was when the row was last."""
        if time not in self.rows.column_names or self.rows[time].null_count == len(self.rows):
            return None
        stored = whole(self.rows[time])
        return np.where(np.asarray(stored.is_valid()), _integers(stored), self._last) if stored.null_count else _integers(stored)

    def _moments(self, numbers: Ints, none: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pa.Array:
        """Times of the values of groups, but for the usual ones."""
        return _moments(numbers, none | (numbers == self.last))

    @cached_property
    def _last(self) -> Ints:
        return _integers(whole(self.rows["_last"]))

    @cached_property
    def last(self) -> Ints:
        """When each group was last seen."""
        return np.maximum.reduceat(self._last[self.groups.order], self.groups.starts)

    @cached_property
    def _latest(self) -> Counting:
        """Of rows that all have a value, seen when the row was last."""
        return counting_rows(self.groups, self._every_row, self._last, latest=True)

    @cached_property
    def _oldest(self) -> Counting:
        return counting_rows(self.groups, self._every_row, self._last, latest=False)

    @cached_property
    def _every_row(self) -> pa.Array:
        return pa.array(self._last)

    def _map(self, field: ProfileField, column: pa.MapArray, time: str) -> Columns | None:
        if column.items.null_count:
            return None
        entries = self._entries(column)
        if self.times is not Times.STORED:
            times = self._last[entries.row]
        else:
            stored = whole(self.rows[time])
            if not _same_keys(column, stored):
                return None
            times = _integers(stored.items)[entries.item + (_first_offset(stored) - _first_offset(column))]
        order = sorted_by(entries.code)
        codes, times = entries.code[order], times[order]
        starts = starts_of(codes)
        ranks = partial(self._ranks, column.items, field.kind.element or "")
        items = entries.item[order]
        found = extremes(starts, times, latest=field.merge == "latest").one_each(lambda tied: ranks(items[tied]))
        kept, times = codes[found], times[found]
        items = items[found]
        if capped_in_state(field) and field.capacity is not None:
            some = _newest(kept // max(len(entries.names), 1), times, field.capacity)
            kept, times, items = kept[some], times[some], items[some]
        values = column.items.take(pa.array(items))
        return {field.name: self._maps(kept, entries.names, values), time: self._maps(kept, entries.names, _moments(times))}

    def _counted(self, field: ProfileField, column: pa.MapArray) -> Columns | None:
        entries = self._entries(column)
        values, parts = column.items, named(parts_column(field) or "")
        if values.null_count or _may_overflow(values) or self._has_any(parts):
            return None
        order = sorted_by(entries.code)
        codes = entries.code[order]
        starts = starts_of(codes)
        sums = np.add.reduceat(_integers(values)[entries.item[order]], starts) if len(starts) else codes
        none = pa.nulls(self.groups.count, pa.map_(pa.string(), pa.string()))
        return {field.name: self._maps(codes[starts], entries.names, pa.array(sums)), parts: none}

    def _has_any(self, name: str) -> bool:
        return name in self.rows.column_names and self.rows[name].null_count < len(self.rows)

    def _entries(self, column: pa.MapArray) -> _Entries:
        offsets = np.asarray(column.offsets).astype(np.int64)
        lengths = np.diff(offsets)
        lengths[np.asarray(column.is_null())] = 0
        order = self.groups.order
        of_order = lengths[order]
        before = np.cumsum(of_order) - of_order
        item = np.repeat(offsets[:-1][order] - before, of_order) + np.arange(int(of_order.sum()))
        numbers, names = text_codes(column.keys)
        code = np.repeat(self.groups.in_order, of_order) * max(len(names), 1) + numbers[item]
        return _Entries(np.repeat(order, of_order), item, code, names)

    def _maps(self, codes: Ints, names: pa.Array, values: pa.Array) -> pa.Array:
        """A map for each group, null for those without a key. `codes` are in their order."""
        groups, keys = np.divmod(codes, max(len(names), 1))
        lengths = np.bincount(groups, minlength=self.groups.count)
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        empty = pa.array(np.append(lengths == 0, False))
        return pa.MapArray.from_arrays(pc.if_else(empty, None, pa.array(offsets)), names.take(pa.array(keys)), values)

    def _ranks(self, values: pa.Array, kind_name: str, tied: Ints) -> Ints:
        """What decides between values of one time: their texts."""
        some = values.take(pa.array(tied))
        if kind_name in ("int", "number"):
            self.connection.register("tied", pa.table({"v": some, "n": np.arange(len(some))}))
            some = whole(arrow(self.connection, f"SELECT {text_order('v', kind_name)} AS v FROM tied ORDER BY n")["v"])
            self.connection.unregister("tied")
        if pa.types.is_boolean(some.type):
            some = some.cast(pa.int8())
        ranks: Ints = np.asarray(pc.rank(some, tiebreaker="dense")).astype(np.int64)
        return ranks


def _newest(groups: Ints, times: Ints, capacity: int) -> Ints:
    """The places of the keys greatest by (time, key) of each group, in their order. Keys stand in their order already."""
    starts = starts_of(groups)
    lengths = np.diff(starts, append=len(groups))
    if not len(starts) or int(lengths.max()) <= capacity:
        return np.arange(len(groups))
    order = np.lexsort((np.arange(len(groups)), times, groups))
    ends = np.repeat(starts + lengths, lengths)
    return np.sort(order[ends - np.arange(len(groups)) <= capacity])


def _integers(values: pa.Array) -> Ints:
    """Integers and moments (in microseconds) as numbers; nulls as anything."""
    wide = values if pa.types.is_integer(values.type) else values.cast(_MOMENT).view(pa.int64())
    filled = wide.fill_null(0) if wide.null_count else wide
    numbers: Ints = np.asarray(filled).astype(np.int64, copy=False)
    return numbers


def _moments(numbers: Ints, none: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> pa.Array:
    return pa.array(numbers, mask=none).view(_MOMENT)


def _may_overflow(values: pa.Array) -> bool:
    extremes_ = pc.min_max(values)
    greatest = max(abs(extremes_["min"].as_py() or 0), abs(extremes_["max"].as_py() or 0))
    return bool(greatest * len(values) > _MOST_SUM)


def _first_offset(column: pa.MapArray) -> int:
    return int(column.offsets[0].as_py()) if len(column) else 0


def _same_keys(column: pa.MapArray, times: pa.Array) -> bool:
    """Whether the times stand as the values do, none of them missing."""
    if not pa.types.is_map(times.type) or times.items.null_count or column.null_count != times.null_count:
        return False
    first, second = (np.asarray(one.offsets) for one in (column, times))
    return len(first) == 0 or bool(np.array_equal(first - first[0], second - second[0]))
