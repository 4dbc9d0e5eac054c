"""Rows that came twice, and rows by load, against a plain computation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from etl.engines.spool import Spool
from etl.pipeline.mapped_rows import by_load, repeated_rows

Row = tuple[int, int, int, str | None]


def _table(rows: list[Row], numbers: int = 2**63) -> pa.Table:
    """Keys have that many different hashes: with few of them, other keys have the same."""
    types = {"load_ix": pa.int32(), "member_ix": pa.int32(), "line": pa.int64(), "_key": pa.string()}
    columns = {name: pa.array([row[n] for row in rows], type_) for n, (name, type_) in enumerate(types.items())}
    columns["_key_hash"] = pa.array([0 if row[3] is None else crc32(row[3].encode()) % numbers for row in rows], pa.uint64())
    return pa.table({**columns, "value": pa.array([f"{row[0]}.{row[1]}.{row[2]}" for row in rows], pa.string())})


_ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 400), st.none() | st.sampled_from(["a", "b", "c", "ä"])),
    max_size=40,
    unique_by=lambda row: row[:3],
)


@given(_ROWS, st.lists(st.integers(0, 40), max_size=3).map(sorted), st.sampled_from([0, 1_000_000]), st.sampled_from([2, 2**63]))
def test_of_each_key_the_last_row_of_a_load_is_kept(rows: list[Row], cuts: list[int], most_bytes: int, numbers: int) -> None:
    with TemporaryDirectory() as folder:
        spool = Spool(Path(folder), most_bytes)
        for start, end in pairwise([0, *cuts, len(rows)]):
            spool.add(_table(rows[start:end], numbers))
        masks, dropped = repeated_rows(spool)
        tables = [table if mask is None else table.filter(pa.array(mask)) for mask, table in zip(masks, spool.drain(), strict=True)]
        assert list(Path(folder).iterdir()) == []
    last: dict[tuple[int, str], Row] = {}
    for row in sorted(rows, key=lambda row: row[:3]):
        if row[3] is not None:
            last[row[0], row[3]] = row
    expected = [row for row in rows if row[3] is None or last[row[0], row[3]] == row]
    assert pa.concat_tables(tables).to_pylist() == _table(expected, numbers).to_pylist()
    assert dropped == {load: n for load in {row[0] for row in rows} if (n := sum((row[0] == load) for row in {*rows} - {*expected}))}


@given(_ROWS)
def test_rows_by_load(rows: list[Row]) -> None:
    assert {ix: part.to_pylist() for ix, part in by_load(_table(rows)).items()} == {
        ix: _table([row for row in rows if row[0] == ix]).to_pylist() for ix in sorted({row[0] for row in rows})
    }
