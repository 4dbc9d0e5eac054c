"""Sorting numbers instead of grouping values, against plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from etl.engines.sorting import extremes, groups_by, sorted_by, starts_of, text_codes


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 5), max_size=30))
def test_equal_codes_stay_in_their_order(codes: list[int]) -> None:
    """Also where code and place do not fit into one integer."""
    order = sorted_by(np.array(codes, np.int64)).tolist()
    assert order == sorted(range(len(codes)), key=lambda n: codes[n])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b", "ä", None]), st.integers(0, 2))), st.integers(0, 9))
def test_groups(rows: list[tuple[int, str | None, int]], chunk: int) -> None:
    columns = {"load": pa.array([row[0] for row in rows], pa.int32()), "text": pa.array([row[1] for row in rows], pa.string())}
    whole = pa.table(columns)
    groups = groups_by(pa.concat_tables([whole.slice(0, chunk), whole.slice(chunk)]), ["load", "text"])
    numbers = groups.of_row.tolist()
    assert [row[1] is None for row in rows] == [n == -1 for n in numbers]
    assert groups.count == len({row[:2] for row in rows if row[1] is not None})
    assert len({(row[:2], n) for row, n in zip(rows, numbers, strict=True) if n >= 0}) == groups.count
    assert sorted(n for n in numbers if n >= 0) == groups.in_order.tolist() == [numbers[place] for place in groups.order.tolist()]
    assert sorted(groups.in_order[groups.starts].tolist()) == list(range(groups.count))


@given(st.lists(st.text(max_size=3)))
def test_codes_of_texts_are_in_the_order_of_their_bytes(texts: list[str]) -> None:
    codes, names = text_codes(pa.array(texts, pa.string()))
    assert names.to_pylist() == sorted(set(texts), key=str.encode)
    assert [names[code].as_py() for code in codes.tolist()] == texts


@given(st.lists(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=5)), st.booleans())
def test_the_extreme_of_each_run(runs: list[list[tuple[int, int]]], latest: bool) -> None:
    pairs = [pair for run in runs for pair in run]
    starts = starts_of(np.array([n for n, run in enumerate(runs) for _ in run], np.int64))
    times, ranks = (np.array([pair[n] for pair in pairs], np.int64) for n in (0, 1))
    found = extremes(starts, times, latest=latest).one_each(lambda places: ranks[places])
    assert [pairs[place] for place in found.tolist()] == [(max if latest else min)(run) for run in runs]
