"""A whole Airflow on this machine: four processes on loopback, SQLite, tasks in local processes.

Not `airflow standalone`: that one serves logs on every network interface and leaves processes behind when stopped.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from amplitude_airflow.services import ServiceFailed, Services

_HOST = "127.0.0.1"
_START_SECONDS = 180.0
_TICK = 0.25
_PARALLEL_TASKS = 4
_COMMANDS = {
    "api-server": ("api-server", "--host", _HOST, "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_HEALTH = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}


@dataclass(frozen=True)
class LocalAirflow:
    """Where an Airflow stands: `home` holds its database and logs, `root` the folders `dags` and `plugins`."""

    home: Path
    root: Path
    port: int
    jobs_file: Path
    paused: bool = False

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of its processes. The secrets are new at each start; nobody can log in from elsewhere."""
        settings = {
            "API__HOST": _HOST,
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__EXPOSE_CONFIG": "False",
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
            "API__SECRET_KEY": secrets.token_urlsafe(32),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__DAGS_FOLDER": str(self.root / "dags"),
            "CORE__PLUGINS_FOLDER": str(self.root / "plugins"),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": str(_PARALLEL_TASKS),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": str(self.paused),
            # The only user of a loopback Airflow is whoever started it.
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            # Without bytecode every process compiles all of Airflow anew, and takes twice as long to start.
            if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("AIRFLOW__")
        }
        return {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "PROFILEMILL_JOBS": str(self.jobs_file),
            "NO_PROXY": f"{_HOST},localhost",
            "no_proxy": f"{_HOST},localhost",
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **more,
        }

    def start(self, services: Services, environment: dict[str, str], on_step: Callable[[str], None]) -> None:
        """Prepares the database, starts the processes and returns when all are healthy. Raises ServiceFailed."""
        self.home.mkdir(parents=True, exist_ok=True)
        on_step("preparing Airflow's database")
        self._run(services, "db-migrate", ("db", "migrate"), environment)
        services.wait("db-migrate")
        for name, command in _COMMANDS.items():
            more = ("--port", str(self.port)) if name == "api-server" else ()
            self._run(services, name, command + more, environment)
        self._wait(services, on_step)

    def _run(self, services: Services, name: str, command: tuple[str, ...], environment: dict[str, str]) -> None:
        services.start(name, (sys.executable, "-m", "airflow", *command), environment, self.home)

    def _wait(self, services: Services, on_step: Callable[[str], None]) -> None:
        end = time.monotonic() + _START_SECONDS
        with requests.Session() as session:
            session.trust_env = False
            while True:
                services.check()
                missing = self._missing(session)
                if not missing:
                    return
                on_step(f"starting Airflow, waiting for {', '.join(missing)}")
                if time.monotonic() > end:
                    raise services.failure(missing[0], f"was not ready within {_START_SECONDS:.0f} s")
                time.sleep(_TICK)

    def _missing(self, session: requests.Session) -> list[str]:
        try:
            answer = session.get(f"{self.url}/api/v2/monitor/health", timeout=10)
            found = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError):
            return list(_COMMANDS)
        return [name for name, part in _HEALTH.items() if (found.get(part) or {}).get("status") != "healthy"]


def free_port(wanted: int = 0) -> int:
    """`wanted` where it is free, else any free port of the loopback interface."""
    for port in dict.fromkeys((wanted, 0)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceFailed("no port of the loopback interface is free")
