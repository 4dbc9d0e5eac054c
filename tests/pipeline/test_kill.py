"""`kill -9` at any moment, then again: the same result as without the kill, and never half a load for readers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from etl.sandbox.server import RunningSandbox
from tests.pipeline.projects import WINDOW, command, profilemill, published, write_jobs

KILLS = int(os.environ.get("PROFILEMILL_KILLS", "3"))
SEED = int(os.environ.get("PROFILEMILL_SEED", "11"))
RUN = ("run", "shop-events", "shop-cohorts", *WINDOW)


def test_kills_change_nothing(sandbox: RunningSandbox, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    write_jobs(whole, sandbox.url)
    write_jobs(killed, sandbox.url)
    begin = time.monotonic()
    first = profilemill(whole, *RUN)
    duration = time.monotonic() - begin
    assert first.returncode == 0, first.stderr
    expected = published(whole)
    random_ = random.Random(SEED)
    for number in range(KILLS):
        if number % 3 == 0:  # begin from nothing now and then, else go on from wherever the last kill left off
            killed = tmp_path / f"killed-{number}"
            write_jobs(killed, sandbox.url)
        process = subprocess.Popen(command(*RUN), cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=random_.uniform(0.2, 1.0) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if (killed / "out/profiles").exists() and (killed / "out/profiles.db").exists():
            published(killed)
        if number % 3 == 2:
            again = profilemill(killed, *RUN)
            assert again.returncode == 0, again.stderr
            assert published(killed) == expected
