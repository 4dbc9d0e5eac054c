"""Whoever waits for a rebuild finds the lake as it left it: also when it was killed while it moved its tables in."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable

import pytest
from filelock import FileLock

from etl.lake.loads import current_loads
from etl.lake.swap import BESIDE, mark_ready
from etl.pipeline.forget import forget
from etl.pipeline.ingest import attempt_folder
from etl.pipeline.profiles import build
from etl.pipeline.project import Project
from etl.pipeline.upkeep import rebuild_from_landing
from tests.pipeline.shops import FIRST, Shop


def _half_swapped(project: Project) -> None:
    """The state of a rebuild that was killed between moving old tables out and new ones in."""
    root = project.lake.root
    beside = root / BESIDE
    shutil.rmtree(beside, ignore_errors=True)
    for name in ("streams", "fragments", "loads", "profiles", "state/streams"):
        shutil.copytree(root / name, beside / name)
    mark_ready(root)
    for name in ("loads", "profiles"):
        (root / name).rename(beside / f"{name}.old")


@pytest.mark.parametrize("waiting", [rebuild_from_landing, lambda project: forget(project, [("amplitude_id", "1001")])])
def test_a_killed_swap_is_finished_by_whoever_waited_for_it(shop: Shop, waiting: Callable[[Project], object]) -> None:
    shop.cohort("c1", ["1001", "1002"], FIRST)
    shop.run()
    build(shop.project)
    names = set(current_loads(shop.project.lake))
    ended: list[object] = []
    with FileLock(shop.project.lake.root / ".rebuild.lock"):
        thread = threading.Thread(target=lambda: ended.append(waiting(shop.project)))
        thread.start()
        time.sleep(1)  # it is past what it does before it waits
        _half_swapped(shop.project)
    thread.join(60)
    assert ended
    assert set(current_loads(shop.project.lake)) == names


def test_what_is_loaded_again_while_a_rebuild_runs_keeps_its_raw_files(shop: Shop) -> None:
    shop.cohort("c1", ["1001", "1002"], FIRST)
    shop.run()
    build(shop.project)
    forced = False

    def on_step(step: str) -> None:
        nonlocal forced
        if step == "building profiles" and not forced:
            forced = True
            shop.run(force=True, wanted=["c1"])

    rebuild_from_landing(shop.project, on_step)
    assert forced
    assert all(attempt_folder(shop.project.lake.landing, load).is_dir() for load in current_loads(shop.project.lake).values())
    rebuild_from_landing(shop.project)
