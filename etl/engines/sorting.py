"""Sorting numbers instead of grouping values: groups of rows, runs of equal codes, and the row of each that counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Ints = np.ndarray[Any, np.dtype[np.int64]]
_BITS = 63


@dataclass(frozen=True)
class Groups:
    """Which of the groups 0, 1, .. `count` - 1 each row belongs to; none of them is empty."""

    of_row: Ints
    count: int

    @cached_property
    def order(self) -> Ints:
        """The rows, group by group, those of a group in their order."""
        return sorted_by(self.of_row)

    @cached_property
    def in_order(self) -> Ints:
        """The groups of these rows."""
        return self.of_row[self.order]

    @cached_property
    def starts(self) -> Ints:
        """Where each group begins among them."""
        return starts_of(self.in_order)


def groups_by(table: pa.Table, names: list[str]) -> Groups:
    """Rows with the same integers and texts, never null, are a group."""
    codes = np.zeros(len(table), np.int64)
    for name in names:
        column = table[name]
        numbers = column.to_numpy() if pa.types.is_integer(column.type) else numbers_of(whole(column))
        codes = codes * (int(numbers.max(initial=0)) + 1) + numbers
    order = sorted_by(codes)
    starts = starts_of(codes[order])
    of_row = np.empty(len(codes), np.int64)
    of_row[order] = run_of_each(starts, len(codes))
    return Groups(of_row, len(starts))


def numbers_of(texts: pa.Array) -> Ints:
    """A number for each text, the same for equal ones. Texts are never null."""
    numbers: Ints = pc.dictionary_encode(texts).indices.to_numpy().astype(np.int64)
    return numbers


def text_codes(texts: pa.Array) -> tuple[Ints, pa.Array]:
    """A number for each text, and the texts by number, in their order by bytes. Texts are never null."""
    encoded = pc.dictionary_encode(texts)
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), np.int64)
    ranks[order.to_numpy()] = np.arange(len(order))
    return ranks[encoded.indices.to_numpy()], encoded.dictionary.take(order)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return (
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    )


def sorted_by(codes: Ints) -> Ints:
    """The places of codes, not negative, in their order; equal ones stay in theirs."""
    bits = max(len(codes) - 1, 1).bit_length()
    if int(codes.max(initial=0)).bit_length() + bits > _BITS:
        return np.argsort(codes, kind="stable")
    # Code and place in one integer: sorting those needs no second array, and no stable sort.
    return np.sort(codes << bits | np.arange(len(codes))) & ((1 << bits) - 1)


def starts_of(codes: np.ndarray[Any, Any]) -> Ints:
    """Where runs of equal codes begin."""
    return np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))) if len(codes) else np.zeros(0, np.int64)


def run_of_each(starts: Ints, length: int) -> Ints:
    """The number of its run, for each place."""
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=length))


def extremes(starts: Ints, times: Ints, greater: Callable[[Ints], Ints], *, latest: bool) -> Ints:
    """The place of the latest (or earliest) time of each run. Among equal times the one with the greatest (or least) rank
    counts: `greater(places)` gives ranks, and is asked only for places where times are equal."""
    best = (np.maximum if latest else np.minimum).reduceat(times, starts) if len(starts) else times
    runs = run_of_each(starts, len(times))
    found = np.flatnonzero(times == best[runs])
    if len(found) == len(starts):
        return found
    runs = runs[found]
    tied = np.bincount(runs, minlength=len(starts))[runs] > 1
    ranks = np.zeros(len(found), np.int64)
    ranks[tied] = greater(found[tied])
    order = np.lexsort((ranks if latest else -ranks, runs))
    lasts = np.append(starts_of(runs)[1:], len(runs)) - 1
    counting: Ints = found[order[lasts]]
    return counting
