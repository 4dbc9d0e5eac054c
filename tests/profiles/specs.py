"""Fields of every kind with every merge operator that it takes, and records for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from tests.profiles.reference import Spec

_EXTREMES, _ENDS = ("min", "max"), ("latest", "oldest")
_OPERATORS: dict[str, tuple[str, ...]] = {
    "string": _ENDS,
    "bool": _ENDS,
    "date": (*_ENDS, *_EXTREMES),
    "int": (*_ENDS, *_EXTREMES, "sum", "count"),
    "number": (*_ENDS, *_EXTREMES, "sum"),
}
_SCALARS = {"string": "text", "bool": "flag", "date": "day", "int": "whole", "number": "real"}
_LISTS = {"[]string": "words", "ts[]string": "words", "[]time": "days"}
CAPACITY = 2


def _specs() -> list[Spec]:
    found = [Spec(f"{kind}_{merge}", kind, merge, _SCALARS[kind]) for kind, merges in _OPERATORS.items() for merge in merges]
    maps = [
        (f"map[string]{kind}", merge, f"{_SCALARS[kind]}s_by")
        for kind, merges in _OPERATORS.items()
        for merge in merges
        if merge != "count"
    ]
    maps += [("map[string]intsum", "sum", "wholes_by"), *((kind, "merge", source) for kind, source in _LISTS.items())]
    for kind, merge, source in maps:
        plain = kind.replace("map[string]", "map_").replace("[]", "list_")
        found.append(Spec(f"{plain}_{merge}", kind, merge, source))
        found.append(Spec(f"{plain}_{merge}_capped", kind, merge, source, CAPACITY))
    return found


SPECS = _specs()

_DAYS = st.sampled_from(
    [datetime(2024, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(1969, 7, 20, tzinfo=UTC)]
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["", "A", "B", "a", "ä", "10", "9"]),
    "flag": st.booleans(),
    "day": _DAYS,
    "whole": st.sampled_from([-10, -9, 0, 9, 10, 2**62]),
    "real": st.sampled_from([0.1, 0.2, 0.3, -0.3, 9.0, 10.0, 12.5, 1e16, -1e16, 1e-5, 1e-300, 1.5e300]),
}


def records() -> st.SearchStrategy[dict[str, Any]]:
    """Records with something for each field, or nothing; many at one time."""
    sources: dict[str, st.SearchStrategy[Any]] = {name: st.none() | values for name, values in _VALUES.items()}
    sources |= {f"{name}s_by": st.none() | st.dictionaries(st.sampled_from("xyz"), values, max_size=3) for name, values in _VALUES.items()}
    sources["words"] = st.none() | st.lists(st.sampled_from(["A", "B", "a", "10"]), unique=True, max_size=3)
    sources["days"] = st.none() | st.lists(_DAYS, unique=True, max_size=3)
    return st.fixed_dictionaries({"time": st.integers(0, 3), **sources})
