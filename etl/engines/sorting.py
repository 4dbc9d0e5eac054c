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
    """Which of the groups 0, 1, .. `count` - 1 each row belongs to, -1 for none; no group is empty."""

    of_row: Ints
    count: int

    @cached_property
    def order(self) -> Ints:
        """The rows that belong to groups, group by group, those of a group in their order."""
        return _in_order(self.of_row)

    @cached_property
    def in_order(self) -> Ints:
        """The groups of these rows."""
        return self.of_row[self.order]

    @cached_property
    def starts(self) -> Ints:
        """Where each group begins among them."""
        return starts_of(self.in_order)

    @cached_property
    def bounds(self) -> Ints:
        """The same, and where the last one ends."""
        return np.append(self.starts, len(self.order))


def groups_by(table: pa.Table, names: list[str]) -> Groups:
    """Rows with the same integers and texts are a group; integers are never null, and a row with a null text is in none."""
    codes = np.zeros(len(table), np.int64)
    grouped = np.ones(len(table), np.bool_)
    for name in names:
        column = table[name]
        numbers = column.to_numpy() if pa.types.is_integer(column.type) else numbers_of(whole(column))
        grouped &= numbers >= 0
        codes = codes * (int(numbers.max(initial=0)) + 1) + numbers
    codes[~grouped] = -1
    order = _in_order(codes)
    starts = starts_of(codes[order])
    of_row = np.full(len(codes), -1, np.int64)
    of_row[order] = run_of_each(starts, len(order))
    return Groups(of_row, len(starts))


def _in_order(codes: Ints) -> Ints:
    """The places of codes in their order, without those that are -1."""
    return sorted_by(codes + 1)[int(np.count_nonzero(codes < 0)) :]


def numbers_of(texts: pa.Array) -> Ints:
    """A number for each text, the same for equal ones; -1 for null."""
    numbers: Ints = pc.dictionary_encode(texts).indices.fill_null(-1).to_numpy().astype(np.int64)
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


@dataclass(frozen=True)
class Extremes:
    """The places with the latest (or earliest) time of their run: several where times are equal."""

    places: Ints
    runs: Ints
    count: int
    latest: bool

    def one_each(self, greater: Callable[[Ints], Ints]) -> Ints:
        """The place of each run that counts: among equal times that with the greatest (or least) rank. `greater(places)` gives
        ranks, and is asked only for places where times are equal."""
        if len(self.places) == self.count:
            return self.places
        tied = np.flatnonzero(np.bincount(self.runs, minlength=self.count)[self.runs] > 1)
        places, runs = self.places[tied], self.runs[tied]
        ranks = greater(places)
        order = np.lexsort((ranks if self.latest else -ranks, runs))
        lasts = np.append(starts_of(runs)[1:], len(runs)) - 1
        counting: Ints = np.empty(self.count, np.int64)
        counting[self.runs] = self.places
        counting[runs[lasts]] = places[order[lasts]]
        return counting


def extremes(starts: Ints, times: Ints, *, latest: bool) -> Extremes:
    """The latest (or earliest) of the times of each run."""
    best = (np.maximum if latest else np.minimum).reduceat(times, starts) if len(starts) else times
    runs = run_of_each(starts, len(times))
    found = np.flatnonzero(times == best[runs])
    return Extremes(found, runs[found], len(starts), latest)
