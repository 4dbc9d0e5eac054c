"""The demo: both jobs of `demo/jobs.yaml` as real DAG runs in a throw-away Airflow, against the sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from amplitude_airflow.local_airflow import LocalAirflow, free_port
from amplitude_airflow.rest import AirflowApi, Run
from amplitude_airflow.sandbox_process import start_sandbox
from amplitude_airflow.services import Services
from etl.jobs import load_jobs

# The window holds every event of the sandbox's sample on that day, so that counts are the same on any day.
RUNS: dict[str, dict[str, Any]] = {
    "shop-events": {"from": "2022-11-21T00", "to": "2022-11-22T00"},
    "shop-cohorts": {},
}
PROFILES = "profiles"
_RUN_SECONDS = 300.0
_ASSET_SECONDS = 15.0
_TICK = 0.5


class DemoFailed(Exception):
    """A run of the demo failed; the text holds the end of the logs."""


def run_demo(root: Path, console: Console) -> int:
    """Runs the demo and prints its summary; the exit code. Nothing of it is left but `demo/lake` and `demo/out`."""
    jobs_file = root / "demo" / "jobs.yaml"
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="profilemill-demo-"))
    try:
        with Services(home / "logs" / "services", patience=3.0) as services:
            steps = Steps(console)
            airflow = LocalAirflow(home, root, free_port(), jobs_file)
            environment = airflow.environment()
            with steps.step("starting the sandbox"):
                url = start_sandbox(services, environment, home)
            environment["PROFILEMILL_SANDBOX_URL"] = os.environ["PROFILEMILL_SANDBOX_URL"] = url
            load_jobs(jobs_file)
            with steps.step("starting Airflow") as update:
                airflow.start(services, environment, update)
            with AirflowApi(airflow.url) as api:
                with steps.step("reading the DAGs"):
                    api.wait_for_dags({*RUNS, PROFILES})
                with steps.step("importing") as update:
                    imports = [api.trigger(dag, conf) for dag, conf in RUNS.items()]
                    imports = _wait(api, services, imports, update)
                with steps.step("building profiles, loading destinations") as update:
                    _wait_for_profiles(api, services, imports, update)
            with steps.step("stopping Airflow"):
                services.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    console.print(f"done in {time.monotonic() - started:.0f} s\n", highlight=False)
    return _summary(root, jobs_file, console)


class Steps:
    """Shows what is being done: a spinner on a terminal, a line per change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, title: str) -> _Step:
        return _Step(self._console, title)


class _Step:
    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._status = console.status(title)
        self._last = ""
        self._started = time.monotonic()

    def __enter__(self) -> Callable[[str], None]:
        if self._console.is_terminal:
            self._status.start()
        else:
            self._console.print(self._title, highlight=False)
        return self.update

    def update(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        if self._console.is_terminal:
            self._status.update(text)
        else:
            self._console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._status.stop()
        if error is None:
            took = time.monotonic() - self._started
            self._console.print(f"[green]✓[/green] {self._title} ({took:.1f} s)", highlight=False)


def _wait(api: AirflowApi, services: Services, runs: Sequence[Run], update: Callable[[str], None]) -> list[Run]:
    """The runs when all have ended. Raises DemoFailed with the logs of what failed."""
    end = time.monotonic() + _RUN_SECONDS
    while True:
        services.check()
        now = [api.run(run) for run in runs]
        update("; ".join(f"{run.dag}: {_counted(api, run)}" for run in now))
        for run in now:
            if run.state == "failed":
                raise DemoFailed(failure(api, run))
        if all(run.finished for run in now):
            return now
        if time.monotonic() > end:
            texts = [failure(api, run) for run in now if not run.finished]
            raise DemoFailed(f"not done within {_RUN_SECONDS:.0f} s\n" + "\n".join(texts))
        time.sleep(_TICK)


def _wait_for_profiles(api: AirflowApi, services: Services, imports: Sequence[Run], update: Callable[[str], None]) -> None:
    """Waits for a run of `profiles` that began after the last import's report, and starts one if none comes."""
    ready = max(str(task["start_date"]) for run in imports for task in api.tasks(run) if task["task_id"] == "report")
    end = time.monotonic() + _ASSET_SECONDS
    while True:
        found = [run for run in api.runs(PROFILES) if not run.finished or str(run.started) >= ready]
        covering = [run for run in found if run.started is not None and run.started >= ready]
        if covering:
            _wait(api, services, covering[-1:], update)
            return
        if found:
            _wait(api, services, found, update)
            end = time.monotonic() + _ASSET_SECONDS
        elif time.monotonic() > end:
            _wait(api, services, [api.trigger(PROFILES)], update)
            return
        time.sleep(_TICK)


def _counted(api: AirflowApi, run: Run) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(api.states(run).items()))
    return counts or run.state


def failure(api: AirflowApi, run: Run) -> str:
    """What failed in a run, with the end of each task's log."""
    texts = [f"the run of {run.dag} is {run.state}"]
    for task in api.tasks(run):
        if task["state"] in ("failed", "up_for_retry"):
            name = task["rendered_map_index"] or ""
            texts.append(f"{task['task_id']} {name} {task['state']}:")
            texts += [f"  | {line}" for line in api.log(run, task).splitlines()]
    return "\n".join(texts)


def _summary(root: Path, jobs_file: Path, console: Console) -> int:
    """What the lake holds now, by the command line."""
    shown = str(jobs_file.relative_to(root))
    command = [sys.executable, "-m", "etl", "status", "--jobs", shown, "--samples", "3"]
    return subprocess.run(command, cwd=root, env=os.environ | {"PYTHONUTF8": "1"}, check=False).returncode
