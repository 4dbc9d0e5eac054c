"""Mapped rows in Arrow: told apart by load, and rid of those that came twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from etl.engines.sorting import groups_by, sorted_by, starts_of, whole


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


def without_duplicates(mapped: pa.Table) -> tuple[pa.Table, dict[int, int]]:
    """Keeps the last row of each key within a load; how many rows went, per load."""
    keyed = np.flatnonzero(np.asarray(whole(mapped["_key"]).is_valid()))
    some = mapped.select(["load_ix", "member_ix", "line", "_key"]).take(pa.array(keyed))
    groups = groups_by(some, ["load_ix", "_key"])
    if groups.count == len(some):
        return mapped, {}
    load, member, line = (some[name].to_numpy() for name in ("load_ix", "member_ix", "line"))
    order = np.lexsort((line, member, groups.of_row))
    earlier = order[:-1][np.diff(groups.of_row[order]) == 0]
    kept = np.ones(len(mapped), np.bool_)
    kept[keyed[earlier]] = False
    loads, counts = np.unique(load[earlier], return_counts=True)
    return mapped.filter(pa.array(kept)), dict(zip(loads.tolist(), counts.tolist(), strict=True))
