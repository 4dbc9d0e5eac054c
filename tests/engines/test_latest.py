"""The row whose value counts, by the kernel and without it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from etl.engines import latest
from etl.engines.kernel import is_built
from etl.engines.latest import counting_rows, decided
from etl.engines.sorting import groups_by


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from(["", "x", "y", None]), st.integers(-2, 2)), max_size=20),
    st.integers(0, 9),
    st.booleans(),
)
def test_the_row_that_counts(rows: list[tuple[str | None, str | None, int]], left_out: int, is_latest: bool) -> None:
    """Also of values that are a slice of a longer array, whose bits begin anywhere."""
    assert is_built(), "`make setup` builds it"
    values = pa.array([None, *(row[1] for row in rows)], pa.string()).slice(1)[left_out:]
    rows = rows[left_out:]
    groups = groups_by(pa.table({"group": pa.array([row[0] for row in rows], pa.string())}), ["group"])
    times = np.array([row[2] for row in rows], np.int64)
    found = counting_rows(groups, values, times, latest=is_latest)
    without = latest._counting_rows(groups, values, times, latest=is_latest)
    assert (found.rows.tolist(), found.tied.tolist()) == (without.rows.tolist(), without.tied.tolist())

    def ranks(places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([ord(values[place].as_py() or " ") for place in places.tolist()], np.int64)

    chosen = decided(groups, found, values, times, ranks, latest=is_latest)
    for group in range(groups.count):
        there = [(times[n], values[n].as_py()) for n in np.flatnonzero(groups.of_row == group) if values[n].is_valid]
        row = int(chosen[group])
        best = max(there, default=None) if is_latest else min(there, default=None)
        assert (None if row < 0 else (times[row], values[row].as_py())) == best
        assert found.tied[group] == (best is not None and sum(time == best[0] for time, _ in there) > 1)
