"""Sums over builds."""

from __future__ import annotations

from pathlib import Path

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
