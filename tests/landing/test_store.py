"""Attempts appear whole, and what dead processes left is cleared away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.lake.layout import Lake
from etl.landing.manifest import Landed, LoadId, read_manifest, slug
from etl.landing.store import INCOMING, arriving, drop_attempts, incoming, place

HOUR = datetime(2024, 3, 2, 5, tzinfo=UTC)
LOAD = LoadId("amplitude_events", "shop", "2024-03-02T05")


def _place(landing: Path, attempt: str) -> Landed:
    folder = incoming(landing, attempt)
    (folder / "0.json").write_text("{}\n")
    return place(landing, Landed(LOAD, attempt, folder, ("0.json",), HOUR, 3, {"note": "é"}))


def test_an_attempt_appears_by_one_rename_with_its_manifest(tmp_path: Path) -> None:
    landed = _place(tmp_path, "a1")
    assert landed.folder == tmp_path / "amplitude_events/shop/2024-03-02T05/a1"
    assert read_manifest(landed.folder) == landed
    assert list((tmp_path / INCOMING).iterdir()) == []
    drop_attempts(tmp_path, [landed.folder, tmp_path / "not there"])
    assert not landed.folder.exists()


def test_what_fails_on_its_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), arriving(tmp_path, "x") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list((tmp_path / INCOMING).iterdir()) == []


def test_leftovers_of_dead_processes_of_this_machine_go(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout.strip()
    host = socket.gethostname()
    lake = Lake(tmp_path)
    for place_ in (lake.landing / INCOMING, lake.scratch):
        for name in (f"{host}_{dead}_x", f"{host}_{os.getpid()}_x", f"elsewhere_{dead}_x", "something else"):
            (place_ / name).mkdir(parents=True)
    lake.ensure_writable()
    for place_ in (lake.landing / INCOMING, lake.scratch):
        assert sorted(path.name for path in place_.iterdir()) == sorted(
            [f"{host}_{os.getpid()}_x", f"elsewhere_{dead}_x", "something else"]
        )


@pytest.mark.parametrize(("text", "expected"), [("shop", "shop"), ("a/b", "a~2f~b"), ("..", "~.."), ("é x", "~e9~~20~x"), ("", "~")])
def test_names_of_folders(text: str, expected: str) -> None:
    assert slug(text) == expected
