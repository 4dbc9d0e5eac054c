"""Whole runs in this process, against the sandbox: the DAGs as users see them, their counts, their failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amplitude_airflow.factory import build_dags, build_profiles_dag

from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.profiles.published import read_profiles
from etl.sandbox.server import RunningSandbox

# A whole run goes through most of Airflow; only what our own modules warn of is an error here.
pytestmark = [
    pytest.mark.airflow,
    pytest.mark.usefixtures("airflow_database"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::(etl|amplitude_airflow)"),
]
DAY = {"from": "2022-11-21T00", "to": "2022-11-22T00"}


def run(jobs_file: Path, dag_id: str, conf: dict[str, Any] | None = None) -> Any:
    dags = build_dags(jobs_file, first_poll=0.05) | {"profiles": build_profiles_dag(jobs_file)}
    return dags[dag_id].test(run_conf=conf or {})


def states(dag_run: Any) -> dict[str, list[str]]:
    """Task id and readable map names, with their states."""
    found: dict[str, list[str]] = {}
    for task in dag_run.get_task_instances():
        found.setdefault(task.task_id, []).append(f"{task.rendered_map_index or ''} {task.state}".strip())
    return {name: sorted(values) for name, values in found.items()}


def test_both_jobs_and_the_profiles(jobs_file: Path, sandbox: RunningSandbox) -> None:
    """From the sandbox to a Parquet folder and a database; a second time nothing is imported twice."""
    assert states(run(jobs_file, "shop-events", DAY)) == {
        "plan": ["success"],
        "import_hours": ["2022-11-21T00..2022-11-22T00 success"],
        "report": ["success"],
        "done": ["success"],
    }
    assert states(run(jobs_file, "shop-cohorts")) == {
        "plan": ["success"],
        "import_cohort": [
            "Buyers, 30 days success",
            "Everybody success",
            'The "été" list success',
            "Weekly actives success",
        ],
        "report": ["success"],
        "done": ["success"],
    }
    assert states(run(jobs_file, "profiles")) == {"build": ["success"], "load": ["db success", "files success"]}
    lake = Lake(jobs_file.parent / "lake")
    loads = current_loads(lake)
    events = [load for load in loads.values() if load.stream == "amplitude_events"]
    assert (len(events), sum(load.rows for load in events), len(loads)) == (24, 400, 28)
    assert len(read_profiles(lake.root)) > 0
    assert (jobs_file.parent / "out" / "profiles.db").is_file()

    before = len(sandbox.state.asked()["requests"])
    again = run(jobs_file, "shop-events", DAY)
    assert states(again) == {"plan": ["success"], "import_hours": ["skipped"], "report": ["success"], "done": ["success"]}
    assert again.state == "success"
    assert states(run(jobs_file, "shop-cohorts"))["import_cohort"] == ["skipped"]
    assert len(sandbox.state.asked()["requests"]) == before + 1  # the list of cohorts
    assert current_loads(lake) == loads


def test_chosen_cohorts_only(jobs_file: Path) -> None:
    found = run(jobs_file, "shop-cohorts", {"cohorts": ["Everybody"]})
    assert states(found)["import_cohort"] == ["Everybody success"]


def test_a_wrong_key_fails_at_the_first_try_and_says_what_to_do(
    write_jobs: Callable[..., Path], sandbox: RunningSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(write_jobs(sandbox.url, key="wrong"), "shop-events", DAY)
    assert found.state == "failed"
    (failed,) = [task for task in found.get_task_instances() if task.task_id == "import_hours"]
    assert (failed.state, failed.try_number) == ("failed", 1)
    assert states(found)["report"] == ["success"]
    assert states(found)["done"] == ["upstream_failed"]
    text = "".join(capsys.readouterr())
    assert "Amplitude refused the credentials" in text
    assert "Next: check the API key, the secret key and the region" in text
    assert "Job: shop-events" in text


def test_an_unknown_cohort_names_the_right_ones(jobs_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(jobs_file, "shop-cohorts", {"cohorts": ["Everybdy"]})
    assert found.state == "failed"
    assert states(found)["report"] == ["skipped"]
    text = "".join(capsys.readouterr())
    assert "there is no cohort 'Everybdy'" in text
    assert "did you mean 'Everybody'?" in text


def test_a_first_run_without_a_window_fixes_the_reach(jobs_file: Path) -> None:
    """Backfill of no days: nothing to import yet, and the next runs start from here."""
    jobs_file.write_text(jobs_file.read_text().replace("label: Shop events,", "backfill_days: 0,"))
    found = run(jobs_file, "shop-events")
    assert states(found)["import_hours"] == ["skipped"]
    (reach,) = (jobs_file.parent / "lake" / "state" / "reach").iterdir()
    assert set(json.loads(reach.read_text())) == {"anchor", "first_hour"}
