"""Of each group of rows the one whose value counts, the latest or the earliest."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from etl.engines.kernel import at, kernel
from etl.engines.sorting import Groups, Ints, extremes, starts_of

_Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Counting:
    """By group one of the rows whose value is latest (or earliest), -1 where none has a value; and whether there are several."""

    rows: Ints
    tied: _Mask

    @cached_property
    def none(self) -> _Mask:
        """Of which groups no row has a value."""
        return self.rows < 0


class _Column(ctypes.Structure):
    """`ValueColumn` of latest.c."""

    _fields_ = (
        ("bits", ctypes.c_void_p),
        ("first_bit", ctypes.c_int64),
        ("times", ctypes.c_void_p),
        ("latest", ctypes.c_int64),
        ("rows", ctypes.c_void_p),
        ("tied", ctypes.c_void_p),
        ("ties", ctypes.c_int64),
    )


def counting_rows(groups: Groups, values: pa.Array, times: Ints, *, latest: bool) -> Counting:
    """`times` are those of the values, by row."""
    library = kernel()
    if library is None:
        return _counting_rows(groups, values, times, latest=latest)
    rows, tied, starts = np.empty(groups.count, np.int64), np.empty(groups.count, np.bool_), groups.bounds
    bits, times = values.buffers()[0] if values.null_count else None, np.ascontiguousarray(times)
    column = _Column(
        bits=None if bits is None else bits.address,
        first_bit=values.offset,
        times=times.ctypes.data,
        latest=latest,
        rows=rows.ctypes.data,
        tied=tied.ctypes.data,
    )
    library.profilemill_latest(at(groups.order), at(starts), ctypes.c_int64(groups.count), ctypes.byref(column))
    return Counting(rows, tied)


def _counting_rows(groups: Groups, values: pa.Array, times: Ints, *, latest: bool) -> Counting:
    """The same without the kernel."""
    rows, tied = np.full(groups.count, -1, np.int64), np.zeros(groups.count, np.bool_)
    there = np.asarray(values.is_valid())[groups.order]
    places, of_place = groups.order[there], groups.in_order[there]
    starts = starts_of(of_place)
    found = extremes(starts, times[places], latest=latest)
    firsts = starts_of(found.runs)
    chosen = of_place[starts]
    rows[chosen] = places[found.places[firsts]]
    tied[chosen] = np.diff(firsts, append=len(found.runs)) > 1
    return Counting(rows, tied)


def decided(groups: Groups, counting: Counting, values: pa.Array, times: Ints, ranks: Callable[[Ints], Ints], *, latest: bool) -> Ints:
    """The rows of `counting`, with that of the greatest (or least) rank where there are several. `ranks(rows)` is asked of those."""
    if not counting.tied.any():
        return counting.rows
    some = counting.tied[groups.in_order] & np.asarray(values.is_valid())[groups.order]
    places, of_place = groups.order[some], groups.in_order[some]
    starts = starts_of(of_place)
    best = extremes(starts, times[places], latest=latest).one_each(lambda tied: ranks(places[tied]))
    rows = counting.rows.copy()
    rows[of_place[starts]] = places[best]
    return rows
