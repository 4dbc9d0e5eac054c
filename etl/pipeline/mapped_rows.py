"""Mapped rows in Arrow: told apart by load, and which of them came twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from etl.engines.sorting import Ints, groups_by, sorted_by, starts_of, whole
from etl.engines.spool import Spool

# Where a record stands, its key, and a number that equal keys have in common.
PLACE = ("load_ix", "member_ix", "line")
KEY, KEY_HASH = "_key", "_key_hash"
Mask = np.ndarray[Any, np.dtype[np.bool_]]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def by_load(table: pa.Table) -> dict[int, pa.Table]:
    """The rows by their `load_ix`. Rows that stand together are not copied."""
    numbers = table["load_ix"].to_numpy()
    starts = starts_of(numbers)
    found = np.unique(numbers).tolist()
    if len(starts) > 2 * len(found):
        return by_load(table.take(pa.array(sorted_by(numbers.astype(np.int64)))))
    runs: dict[int, list[pa.Table]] = {}
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=False):
        runs.setdefault(int(numbers[start]), []).append(table.slice(start, end - start))
    return {ix: pa.concat_tables(parts) for ix, parts in sorted(runs.items())}


def repeated_rows(rows: Spool) -> tuple[list[Mask | None], dict[int, int]]:
    """Which rows of each table to keep (None: all), so that of each key within a load the last one counts; and how many rows
    are left out, by `load_ix`."""
    suspects = _suspects(rows)
    kept: list[Mask | None] = [None] * len(rows)
    if not any(map(len, suspects)):
        return kept, {}
    lengths, some = [], []
    for n, (table, places) in enumerate(zip(rows.columns([*PLACE, KEY]), suspects, strict=True)):
        lengths.append(len(table))
        numbered = {"_table": pa.array(np.full(len(places), n)), "_at": pa.array(places)}
        some.append(pa.table({**dict(zip(table.column_names, table.take(pa.array(places)).columns, strict=True)), **numbered}))
    keyed = pa.concat_tables(some)
    groups = groups_by(keyed, ["load_ix", KEY])
    load, member, line, of_table, at = (keyed[name].to_numpy() for name in (*PLACE, "_table", "_at"))
    order = np.lexsort((line, member, groups.of_row))
    earlier = order[:-1][np.diff(groups.of_row[order]) == 0]
    for n, length in enumerate(lengths):
        if len(gone := at[earlier[of_table[earlier] == n]]):
            mask = np.ones(length, np.bool_)
            mask[gone] = False
            kept[n] = mask
    loads, counts = np.unique(load[earlier], return_counts=True)
    return kept, dict(zip(loads.tolist(), counts.tolist(), strict=True))


def _suspects(rows: Spool) -> list[Ints]:
    """The places of rows whose key's number is found twice in their load, table by table."""
    found = []
    for table in rows.columns(["load_ix", KEY, KEY_HASH]):
        keyed = np.flatnonzero(np.asarray(whole(table[KEY]).is_valid()))
        # Keys of other loads have other numbers.
        numbers = table[KEY_HASH].to_numpy()[keyed] + table["load_ix"].to_numpy()[keyed].astype(np.uint64) * _ODD
        found.append((keyed, numbers))
    ordered = np.sort(np.concatenate([numbers for _, numbers in found])) if found else np.zeros(0, np.uint64)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return [keyed[np.isin(numbers, twice)] if len(twice) else keyed[:0] for keyed, numbers in found]
