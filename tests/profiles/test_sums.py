"""Sums over builds."""

from __future__ import annotations

from pathlib import Path

from etl.profiles.published import find_profiles
from tests.profiles.histories import History
from tests.profiles.reference import Spec
from tests.profiles.test_break_off import record


def test_a_sum_of_ints_comes_back_from_beyond_64_bits(tmp_path: Path) -> None:
    """The limits cut what is shown, not what is added: the same total whatever was built in between, and within a load."""
    specs = [Spec("whole", "int", "sum", "whole")]
    specs += [Spec(kind, kind, "sum", "wholes_by") for kind in ("map[string]int", "map[string]intsum")]
    most = 2**63 - 1
    history = History(tmp_path / "project", [*specs, Spec("capped", "map[string]int", "sum", "wholes_by", 1)])
    for hour, values in enumerate([[most, most, 5], [-most, 7], [-most, -most], [-9], [most]]):
        lines = [record(hour + 1, user="u1", whole=value, wholes_by={"x": value, "y": 1}) for value in values]
        history.load("amplitude_events", {hour: lines})
        history.build()
        history.check()
    history.build(full=True)
    history.check()


def test_a_sum_of_floats_comes_back_from_beyond_their_range(tmp_path: Path) -> None:
    specs = [Spec("real", "number", "sum", "real"), Spec("map[string]number", "map[string]number", "sum", "reals_by")]
    history = History(tmp_path / "project", specs)
    for hour, values in enumerate([[1.5e308, 1.5e308, 0.1], [1.5e308], [-1.5e308, -1.5e308], [-1.5e308, -0.1, 1e-300]]):
        history.load("amplitude_events", {hour: [record(hour + 1, user="u1", real=value, reals_by={"x": value}) for value in values]})
        history.build()
    (found,) = find_profiles(history.lake, "user", "u1")
    assert (found["real"], found["map[string]number"]) == (1e-300, {"x": 1e-300})
    history.build(full=True)
    assert find_profiles(history.lake, "user", "u1")[0]["real"] == 1e-300
