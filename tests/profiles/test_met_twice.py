"""Numbers that are there twice, against plain counting."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from etl.profiles.met_twice import met_twice


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]), max_size=12), max_size=4),
    st.sampled_from([1, 3, 1000]),
)
def test_numbers_that_are_there_twice(some: list[list[int]], at_once: int) -> None:
    """Together, or in as many ranges as there are numbers."""
    counts = Counter(number for numbers in some for number in numbers)
    with TemporaryDirectory() as folder:
        arrays = [np.array(numbers, np.uint64) for numbers in some]
        met_twice(arrays, sum(counts.values()), Path(folder) / "waiting", at_once)
        found = met_twice(arrays, sum(counts.values()), Path(folder) / "waiting", at_once)
        assert not list(Path(folder).glob("*/*"))
    assert found.tolist() == sorted(number for number, count in counts.items() if count > 1)
