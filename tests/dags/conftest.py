"""Airflow for tests: a home of its own, set before anything imports Airflow, and a sandbox behind the jobs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etl.sandbox.people import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions

ROOT = Path(__file__).parents[2]
_HOME = Path(tempfile.mkdtemp(prefix="profilemill-test-airflow-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = str(_HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_HOME / 'airflow.db'}"

JOBS = """\
lake: ./lake
authorizations:
  shop: {{base_url: "{url}", api_key: {key}, secret_key: secret}}
destinations:
  files: {{type: parquet, path: ./out/profiles}}
  db: {{type: sql, url: "sqlite:///out/profiles.db"}}
jobs:
  shop-events: {{type: amplitude_events, label: Shop events, authorization: shop, destinations: [files, db]}}
  shop-cohorts:
    type: amplitude_cohorts
    authorization: shop
    time_of_day: "06:45"
    timezone: America/Los_Angeles
    destinations: [files]
"""


# What Airflow 3.3.2 and its libraries warn of among themselves; anything else fails a test.
_THEIR_WARNINGS = ("ignore:GitWildMatchPattern:DeprecationWarning",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for warning in _THEIR_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's tables."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=SampleSpec(people=40, events=400))) as running:
        yield running


@pytest.fixture
def write_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a jobs file and makes it the one that the DAG files find."""

    def write(url: str = "http://127.0.0.1:9", key: str = "key", text: str | None = None) -> Path:
        path = tmp_path / "jobs.yaml"
        path.write_text(JOBS.format(url=url, key=key) if text is None else text)
        monkeypatch.setenv("PROFILEMILL_JOBS", str(path))
        return path

    return write


@pytest.fixture
def jobs_file(sandbox: RunningSandbox, write_jobs: Callable[..., Path]) -> Path:
    """A jobs file whose Amplitude is the sandbox."""
    return write_jobs(sandbox.url)
