"""Processes that are started together end together, whatever they have started themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from amplitude_airflow.services import ServiceFailed, Services, processes_of

from tests.dags.conftest import ROOT

# A parent that ignores SIGTERM, with a child in a process group of its own, as Airflow's are.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import os, time; os.setpgid(0, 0); print('up', flush=True); time.sleep(600)"])
time.sleep(600)
"""


def wait_for(found: Path, text: str) -> None:
    end = time.monotonic() + 30
    while text not in (found.read_text() if found.is_file() else ""):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_stopping_leaves_no_process_behind(tmp_path: Path) -> None:
    with Services(tmp_path, patience=0.2) as services:
        services.start("stubborn", (sys.executable, "-c", STUBBORN), os.environ, tmp_path)
        wait_for(services.log_of("stubborn"), "up")
        sessions = services.sessions
        assert len(processes_of(sessions)) == 2
    assert processes_of(sessions) == []


def test_a_service_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Services(tmp_path) as services:
        code = "import sys; print('the port is taken'); sys.exit(3)"
        services.start("api-server", (sys.executable, "-c", code), os.environ, tmp_path)
        with pytest.raises(ServiceFailed) as caught:
            services.wait("api-server")
    assert str(caught.value) == (f"api-server ended with code 3; the end of {tmp_path / 'api-server.log'}:\n  | the port is taken")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_launcher_and_everything_it_has_started(number: signal.Signals, tmp_path: Path) -> None:
    """In the background of a shell script SIGINT is ignored; it must work all the same."""
    code = f"""
import os, signal, sys, time
from pathlib import Path
from amplitude_airflow.services import Interrupted, Services, interruptible
signal.signal(signal.SIGINT, signal.SIG_IGN)
interruptible()
try:
    with Services(Path({str(tmp_path)!r}), patience=0.2) as services:
        services.start("one", (sys.executable, "-c", {STUBBORN!r}), os.environ, Path({str(tmp_path)!r}))
        print(services.sessions[0], flush=True)
        time.sleep(600)
except Interrupted:
    print("ended")
"""
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    session = int(launcher.stdout.readline())
    wait_for(tmp_path / "one.log", "up")
    launcher.send_signal(number)
    assert launcher.communicate(timeout=30)[0] == "ended\n"
    assert processes_of([session]) == []


def test_the_launcher_says_what_is_wrong_with_the_jobs_file(tmp_path: Path) -> None:
    """One clear message and exit code 2, before anything is started."""
    environment = os.environ | {"PROFILEMILL_JOBS": str(tmp_path / "missing.yaml")}
    done = subprocess.run(
        [sys.executable, "-m", "amplitude_airflow.launcher", "up", "--root", str(ROOT)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"there is no jobs file: {tmp_path / 'missing.yaml'}" in done.stdout
