"""Sums of floats that do not depend on the order: stored as the few floats that add up to the exact sum."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction

import pyarrow as pa

from etl.engines.local import Connection

EXACT_SUM = "pm_exact_sum"


def exact_parts(values: Sequence[float]) -> list[float]:
    """The sum of finite floats as floats: the first is the sum, correctly rounded, the next what it lacks, and so on.

    A pure function of the exact sum, so the parts of parts are those of all values at once, in any order and grouping.
    A sum beyond the range of floats begins with the greatest (or least) one, as often as it takes.
    """
    try:
        parts = [math.fsum(values)]
        while rest := math.fsum([*values, *(-part for part in parts)]):
            parts.append(rest)
    except OverflowError:
        return _parts_of(sum(map(Fraction, values), Fraction(0)))
    return parts


def _parts_of(total: Fraction) -> list[float]:
    largest = Fraction(sys.float_info.max)
    parts: list[float] = []
    while total or not parts:
        parts.append(float(max(-largest, min(largest, total))))
        total -= Fraction(parts[-1])
    return parts


def register(connection: Connection) -> None:
    """Makes `pm_exact_sum(DOUBLE[])` known to a DuckDB connection: the parts of a list's sum; null for a null list."""
    kinds = ["DOUBLE[]"], "DOUBLE[]"
    connection.create_function(EXACT_SUM, _exact_sums, *kinds, type="arrow", null_handling="special")


def _exact_sums(lists: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if one is None else exact_parts(one) for one in lists.to_pylist()], pa.list_(pa.float64()))
