"""Columns of mapped records that need no statement, since shredded lines have them: values as they are, a count of a text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.sorting import Ints, whole


@dataclass(frozen=True)
class ReadColumns:
    """By the name of the column of mapped records: the column of shredded lines that it is (`same`), or whose texts it counts
    once each (`counted`). And flags that none of them has (`never`)."""

    same: Mapping[str, str] = field(default_factory=dict)
    counted: Mapping[str, str] = field(default_factory=dict)
    never: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        return self.never.union(self.same, self.counted)

    def without(self, names: Collection[str]) -> ReadColumns:
        """The same but for these names."""
        same, counted = ({name: one for name, one in columns.items() if name not in names} for columns in (self.same, self.counted))
        return ReadColumns(same, counted, self.never.difference(names))

    def added(self, mapped: pa.Table, records: pa.Table) -> pa.Table:
        """Mapped records with these columns too; `records` are the shredded lines that they were mapped from."""
        found = {name: whole(records[column]) for name, column in self.same.items()}
        found |= {name: _counted(whole(records[column])) for name, column in self.counted.items()}
        there, wanted = _numbered(records, records), _numbered(mapped, records)
        assert bool((np.diff(there) > 0).all()), "records are in the order of loads, members and lines"
        if not np.array_equal(there, wanted):
            # Some may be left out, and threads bring them out of their order.
            places = pa.array(np.searchsorted(there, wanted))
            found = {name: values.take(places) for name, values in found.items()}
        found |= dict.fromkeys(sorted(self.never), pa.repeat(pa.scalar(False), len(mapped)))
        return pa.table(dict(zip(mapped.column_names, mapped.columns, strict=True)) | found)


def once(column: str) -> str:
    """SQL of a map that counts a text once; null for no text and for an empty one."""
    return f"(CASE WHEN {column} <> '' THEN map([{column}], [CAST(1 AS BIGINT)]) END)"


def _counted(texts: pa.Array) -> pa.Array:
    """The values of `once` of a column."""
    some = pc.fill_null(pc.greater(pc.binary_length(texts), 0), False)
    is_some = some.to_numpy(zero_copy_only=False)
    keys = texts.filter(some)
    entries = pa.StructArray.from_arrays(
        [keys, pa.repeat(pa.scalar(1, pa.int64()), len(keys))],
        fields=[pa.field("key", pa.string(), nullable=False), pa.field("value", pa.int64())],
    )
    starts = np.concatenate(([0], np.cumsum(is_some))).astype(np.int32)
    valid = pa.py_buffer(np.packbits(is_some, bitorder="little"))
    return pa.Array.from_buffers(pa.map_(pa.string(), pa.int64()), len(texts), [valid, pa.py_buffer(starts)], children=[entries])


def _numbered(table: pa.Table, records: pa.Table) -> Ints:
    """A number for each row of a table by its load, member and line; those of `records`, which are in their order, ascend."""
    lines = int(records["line"].to_numpy().max(initial=0)) + 1
    members = int(records["member_ix"].to_numpy().max(initial=0)) + 1
    found: Ints = (table["load_ix"].to_numpy().astype(np.int64) * members + table["member_ix"].to_numpy()) * lines + table[
        "line"
    ].to_numpy()
    return found
