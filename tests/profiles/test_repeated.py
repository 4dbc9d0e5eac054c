"""Loads in which a key counts elsewhere: their fragments are made anew, at small cost and after a kill too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from etl.engines.local import Workspace
from etl.lake.layout import Lake
from tests.profiles.histories import History
from tests.profiles.reference import Spec
from tests.profiles.specs import SPECS
from tests.profiles.test_break_off import record

_OWN = record(1, user="u1", key="k1", words=["A"], wholes_by={"x": 1}, texts_by={"y": "B"})


def test_many_fields_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping of many maps and lists: one statement over all of them took gigabytes for two records."""
    monkeypatch.setenv("PROFILEMILL_MEMORY_LIMIT", "400MB")
    history = History(tmp_path / "project", SPECS, dedupe_days=1)
    assert len([spec for spec in SPECS if "[" in spec.kind]) > 40
    history.load("amplitude_events", {0: [_every(_OWN)], 1: [_every(_OWN), _every(record(2, user="u1", key="k2"))]})
    history.build()
    history.check()


def test_a_build_goes_on_after_a_kill_behind_its_commit(tmp_path: Path) -> None:
    """Sums of floats are added by a function of ours, which the connection that repairs tables has to know too."""
    history = History(tmp_path / "project", [Spec("real", "number", "sum", "real")], dedupe_days=1)
    history.load("amplitude_events", {0: [_OWN | {"real": 0.1}], 1: [_OWN | {"real": 0.2}, record(2, user="u1", key="k2", real=0.3)]})
    history.build()
    # What a kill between the commits of a build leaves.
    shutil.rmtree(history.lake.identifiers.path)
    history.load("amplitude_events", {2: [record(3, user="u1", key="k3", real=0.4)]})
    history.build()
    history.check()


def _every(given: dict[str, object]) -> dict[str, object]:
    return dict.fromkeys(spec.source for spec in SPECS) | given


def test_an_unrelated_build_makes_no_fragments_anew(tmp_path: Path) -> None:
    """Identity of all loads is looked at without their fields: those of overlapping hours would be merged at each build."""
    history = History(tmp_path / "project", SPECS[:3], dedupe_days=1)
    lake = _Counting(history.lake.root)
    for hour in range(4):
        history.load("amplitude_events", {hour: [_OWN, record(hour, user="u1", key=f"own {hour}")]})
    history.build(lake)
    assert len(lake.made) == 3
    lake.made.clear()
    history.load("amplitude_events", {80: [record(80, user="u2", key="k80")]})
    history.build(lake)
    history.check()
    assert lake.made == []


@dataclass(frozen=True)
class _Counting(Lake):
    """Tells which files builds made of loads in which something does not count."""

    made: list[str] = field(default_factory=list)

    @contextmanager
    def workspace(self, *, little: bool = False) -> Iterator[Workspace]:
        with super().workspace(little=little) as (connection, scratch):
            yield connection, scratch
            self.made.extend(path.name for path in scratch.glob("counted.*"))
