"""The few calls of Airflow's REST API that the launcher and its tests make."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from amplitude_airflow.services import ServiceFailed
from etl.settings import utc_now

_TIMEOUT = 30.0
FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Run:
    """A DAG run; `kind` is manual, scheduled, backfill or asset_triggered; the times are Airflow's texts."""

    dag: str
    run: str
    kind: str
    state: str
    started: str | None
    ended: str | None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


class AirflowApi:
    """Airflow's API at a URL whose users are all admins."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        token = self._session.get(f"{url}/auth/token", timeout=_TIMEOUT)
        token.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON of a GET below /api/v2."""
        answer = self._session.get(f"{self._url}/api/v2/{path}", params=params, timeout=_TIMEOUT)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def dags(self) -> list[str]:
        return [dag["dag_id"] for dag in self.get("dags", limit=1000)["dags"]]

    def import_errors(self) -> list[str]:
        return [one["stack_trace"] for one in self.get("importErrors")["import_errors"]]

    def wait_for_dags(self, wanted: set[str], seconds: float = 60.0) -> None:
        """Returns when Airflow knows the DAGs. Raises ServiceFailed with Airflow's import errors."""
        end = time.monotonic() + seconds
        while missing := wanted - set(self.dags()):
            errors = self.import_errors()
            if errors or time.monotonic() > end:
                text = "\n".join(errors) or "Airflow reports no import error"
                raise ServiceFailed(f"Airflow does not know the DAGs {', '.join(sorted(missing))}\n{text}")
            time.sleep(0.25)

    def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """The JSON of a POST below /api/v2."""
        answer = self._session.post(f"{self._url}/api/v2/{path}", json=content, timeout=_TIMEOUT)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> Run:
        """Starts a run by hand.

        Airflow on SQLite answers 500 now and then while its scheduler writes; the run's own id makes asking again safe.
        """
        run_id = f"manual__{utc_now():%Y-%m-%dT%H:%M:%S.%f}+00:00"
        content = {"logical_date": None, "conf": conf or {}, "dag_run_id": run_id}
        for attempt in Retrying(retry=retry_if_exception(_is_500), stop=stop_after_attempt(6), wait=wait_fixed(1), reraise=True):
            with attempt:
                try:
                    return _run(self.post(f"dags/{dag}/dagRuns", content))
                except requests.HTTPError as error:
                    if error.response.status_code != 409:
                        raise
                    return _run(self.get(f"dags/{dag}/dagRuns/{quote(run_id)}"))
        raise AssertionError("unreachable: the last attempt raises")

    def backfill(self, dag: str, first: str, last: str) -> None:
        """Starts Airflow's own backfill of the intervals from `first` to `last`, one run at a time.

        Asked again after a 500, as runs are: a DAG has one backfill at a time, so 409 then says that it is there.
        """
        content = {"dag_id": dag, "from_date": first, "to_date": last, "max_active_runs": 1}
        for attempt in Retrying(retry=retry_if_exception(_is_500), stop=stop_after_attempt(6), wait=wait_fixed(1), reraise=True):
            with attempt:
                try:
                    self.post("backfills", content)
                except requests.HTTPError as error:
                    if error.response.status_code != 409 or attempt.retry_state.attempt_number == 1:
                        raise

    def run(self, run: Run) -> Run:
        """The run as it stands now."""
        return _run(self.get(f"dags/{run.dag}/dagRuns/{quote(run.run)}"))

    def runs(self, dag: str) -> list[Run]:
        """All runs of a DAG, oldest first."""
        return [_run(one) for one in self.get(f"dags/{dag}/dagRuns", order_by="id", limit=100)["dag_runs"]]

    def tasks(self, run: Run) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found: list[dict[str, Any]] = self.get(f"dags/{run.dag}/dagRuns/{quote(run.run)}/taskInstances", limit=1000)["task_instances"]
        return found

    def states(self, run: Run) -> Counter[str]:
        """How many task instances of a run are in which state."""
        return Counter(str(task["state"] or "waiting") for task in self.tasks(run))

    def log(self, run: Run, task: dict[str, Any], lines: int = 30) -> str:
        """The end of a task instance's log, as text; of a failed one, what it failed with."""
        path = f"dags/{run.dag}/dagRuns/{quote(run.run)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self.get(path, map_index=task["map_index"], full_content="true")["content"]
        texts = [_log_line(one) for one in content] if isinstance(content, list) else [str(content)]
        told = [line for text in texts for line in text.splitlines() if not line.startswith("::")]
        if "Task failed with exception" in told:
            told = told[told.index("Task failed with exception") + 1 :]
        return "\n".join(told[-lines:])


def _run(content: dict[str, Any]) -> Run:
    names = ("dag_id", "dag_run_id", "run_type", "state", "start_date", "end_date")
    return Run(*(content[name] for name in names))


def _log_line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    text = str(entry.get("event", ""))
    for error in entry.get("error_detail") or ():
        text += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return text


def _is_500(error: BaseException) -> bool:
    return isinstance(error, requests.HTTPError) and error.response.status_code >= 500
