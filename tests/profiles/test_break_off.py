"""Runs that break off just behind each of their commits: nobody sees half of anything, and the next run mends all tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.lake.layers import Sizes
from etl.lake.layout import Lake
from tests.profiles.histories import History
from tests.profiles.reference import Spec

# Every commit is a build or two: by default some of them.
STRIDE = 1 if int(os.environ.get("PROFILEMILL_EXAMPLES", "0")) >= 50 else 4
START = int(os.environ.get("PROFILEMILL_SEED", "2"))

SPECS = [
    Spec("city", "string", "latest", "text"),
    Spec("sums", "map[string]number", "sum", "reals_by", 1),
    Spec("whole", "int", "sum", "whole"),
]


def record(time: int, **given: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("user", "device", "mail", "key", "text", "reals_by"))
    return empty | {"time": time, "whole": 1} | given


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Three people, one of them in quarantine, a contested device, and a key in two loads."""
    history = History(tmp_path_factory.mktemp("begun") / "project", SPECS, dedupe_days=1)
    many = [record(5, user="u4", device=f"e{n}", reals_by={"x": 0.1}) for n in range(4)]
    history.load(
        "amplitude_events", {0: [record(1, user="u1", device="d1", key="k1", text="A"), record(2, user="u2", device="d1", mail="m2")]}
    )
    history.load("amplitude_events", {20: [record(3, device="d3", key="k1"), record(4, device="d3", text="B", mail="m3"), *many]})
    history.build()
    history.check()
    return history


def _load(history: History, lake: Lake) -> None:
    """One load replaced (d1 is u2's alone now, and k1 counts elsewhere), one that joins two people, one that contests."""
    history.load("amplitude_events", {0: [record(2, user="u2", device="d1", text="C")], 40: [record(9, device="d3", mail="m2")]}, lake)
    history.load("amplitude_cohorts", {0: [record(9, user="u3", device="d3", text="D")], 20: [record(9, text="nobody")]}, lake)


def _build(history: History, lake: Lake) -> None:
    history.build(lake)


def _build_beside(history: History, lake: Lake) -> None:
    """Writes what it touches beside what is stored, and makes it one file with what the build before left there."""
    history.sizes = Sizes(share=1e9, files=0)
    history.build(lake)


def _rebuild(history: History, lake: Lake) -> None:
    history.build(lake, full=True)


@pytest.mark.parametrize("action", [_load, _build, _build_beside, _rebuild])
def test_behind_every_commit(begun: History, tmp_path: Path, action: Callable[[History, Lake], None]) -> None:
    ready = begun.copied(tmp_path / "ready")
    if action is not _load:
        _load(ready, ready.lake)
    whole = ready.copied(tmp_path / "whole")
    points = whole.commit_points(lambda lake: action(whole, lake))
    assert len(points) >= 5
    for point in points[START % STRIDE :: STRIDE]:
        history = ready.copied(tmp_path / f"after-{point}")
        assert history.broken_off(point, lambda lake, history=history: action(history, lake))
        history.check_readers()
        history.build()
        history.check()
    _load(history, history.lake)
    history.build()
    history.check()
