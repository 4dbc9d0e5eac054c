"""Mapped rows in Arrow: told apart by load, and rid of those that came twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from etl.engines.local import Connection, arrow, rows

_PLACE = "CAST(member_ix AS BIGINT) * 4294967296 + line"


def by_load(table: pa.Table) -> dict[int, pa.Table]:
    """The rows by their `load_ix`. Rows that stand together are not copied."""
    numbers = table["load_ix"].to_numpy()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]))
    found = np.unique(numbers).tolist()
    if len(starts) - 1 > 2 * len(found):
        return {ix: table.filter(pa.array(numbers == ix)) for ix in found}
    runs: dict[int, list[pa.Table]] = {}
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if start < end:
            runs.setdefault(int(numbers[start]), []).append(table.slice(start, end - start))
    return {ix: pa.concat_tables(parts) for ix, parts in sorted(runs.items())}


def without_duplicates(connection: Connection, mapped: pa.Table) -> tuple[pa.Table, dict[int, int]]:
    """Keeps the last row of each key within a load; how many rows went, per load."""
    connection.register("keyed", mapped.select(["load_ix", "member_ix", "line", "_key"]))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE repeated AS SELECT load_ix, _key, max({_PLACE}) AS last, count(*) - 1 AS extra
        FROM keyed WHERE _key IS NOT NULL GROUP BY load_ix, _key HAVING count(*) > 1"""
    )
    extra = rows(connection, "SELECT load_ix, CAST(sum(extra) AS BIGINT) AS n FROM repeated GROUP BY load_ix")
    if extra:
        earlier = f"SELECT load_ix, {_PLACE} AS place FROM keyed JOIN repeated USING (load_ix, _key) WHERE {_PLACE} < last"
        dropped = _codes(arrow(connection, earlier))
        places = arrow(connection, f"SELECT load_ix, {_PLACE} AS place FROM keyed")
        mapped = mapped.filter(pa.array(~np.isin(_codes(places), dropped)))
    connection.unregister("keyed")
    return mapped, {row["load_ix"]: row["n"] for row in extra}


def _codes(places: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Load and place as one value each."""
    found = np.empty(len(places), [("load", np.int32), ("place", np.int64)])
    found["load"], found["place"] = places["load_ix"].to_numpy(), places["place"].to_numpy()
    return found
