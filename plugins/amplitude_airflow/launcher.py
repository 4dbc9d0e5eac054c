"""`python -m amplitude_airflow.launcher up|demo`: Airflow on this machine, stopped whole at the end.

`up` serves the UI until Ctrl-C, with the sandbox behind it unless PROFILEMILL_JOBS names a jobs file. `demo` runs both
jobs of `demo/jobs.yaml` against the sandbox and prints what came of it; it ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from rich.console import Console

from amplitude_airflow.demo import DemoFailed, run_demo
from amplitude_airflow.local_airflow import LocalAirflow, free_port
from amplitude_airflow.sandbox_process import start_sandbox
from amplitude_airflow.services import Interrupted, ServiceFailed, Services, interruptible
from etl.errors import ConfigurationError, ProfilemillError
from etl.jobs import ENVIRONMENT, find_jobs_file, load_jobs

_PORT = 8080


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m amplitude_airflow.launcher", description=__doc__)
    parser.add_argument("command", choices=["up", "demo"], help="what to start")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the folder with dags, plugins and demo")
    parser.add_argument("--port", type=int, default=_PORT, help="of the UI (up); another one where it is taken")
    given = parser.parse_args(arguments)
    console = Console(stderr=False)
    interruptible()
    try:
        root = given.root.resolve()
        with _alone(root / ".airflow"):
            return run_demo(root, console) if given.command == "demo" else _up(root, given.port, console)
    except ProfilemillError as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except (ServiceFailed, DemoFailed, requests.RequestException) as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except Interrupted:
        console.print("stopped")
        return 0 if given.command == "up" else 130


def _up(root: Path, port: int, console: Console) -> int:
    own = os.environ.get(ENVIRONMENT)
    jobs_file = find_jobs_file(None) if own else root / "demo" / "jobs.yaml"
    return _serve(root, root / ".airflow", port, jobs_file, console, sandbox=not own)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Holds the folder for this process. Raises ConfigurationError where another one has it."""
    home.mkdir(exist_ok=True)
    lock = FileLock(home / "launcher.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            "an Airflow of this folder is running already", value=str(home), next_step="stop it first, with Ctrl-C"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _serve(root: Path, home: Path, port: int, jobs_file: Path, console: Console, *, sandbox: bool) -> int:
    airflow = LocalAirflow(home, root, free_port(port), jobs_file, paused=not sandbox)
    with Services(home / "logs" / "services") as services, console.status("starting") as status:
        environment = airflow.environment()
        if sandbox:
            status.update("starting the sandbox")
            environment["PROFILEMILL_SANDBOX_URL"] = start_sandbox(services, environment, home)
            os.environ["PROFILEMILL_SANDBOX_URL"] = environment["PROFILEMILL_SANDBOX_URL"]
        load_jobs(jobs_file)
        airflow.start(services, environment, status.update)
        status.stop()
        console.print(f"Airflow is up: {airflow.url}", highlight=False)
        console.print(f"  jobs: {jobs_file}", highlight=False, soft_wrap=True)
        if sandbox:
            console.print(f"  sandbox: {environment['PROFILEMILL_SANDBOX_URL']}", highlight=False)
        console.print(f"  logs of the services: {services.logs}\nCtrl-C stops it.", highlight=False, soft_wrap=True)
        while True:
            services.check()
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
