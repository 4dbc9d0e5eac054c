"""The DAGs of forwarding jobs: what Airflow makes of them, and whole runs against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from amplitude_airflow.forwarding import build_forwarding_dags

from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox
from tests.dags.conftest import ROOT
from tests.pipeline.forwards import JOBS, put, webhook

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::(etl|amplitude_airflow)"),
]


@pytest.fixture
def jobs_file(sandbox: RunningSandbox, write_jobs: Callable[..., Path], tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return write_jobs(text=JOBS.format(url=sandbox.url))


def test_each_forwarding_job_is_a_dag(write_jobs: Callable[..., Path]) -> None:
    write_jobs(text=JOBS.format(url="http://127.0.0.1:9"))
    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    assert set(bag.dags) == {"to-amplitude", "to-mparticle", "shop-events", "profiles"}
    for name in ("to-amplitude", "to-mparticle"):
        dag = bag.dags[name]
        assert sorted(dag.task_ids) == ["done", "forward_files", "plan", "report"]
        assert "profilemill" in dag.tags and dag.doc_md and dag.description
        assert dag.max_active_runs == 1 and dag.catchup is False
        assert dag.timetable.delta == timedelta(minutes=5)
        assert dag.get_task("forward_files").max_active_tis_per_dagrun == 1
        assert all(task.retries >= 3 for task in dag.tasks if task.task_id != "done")
        assert sorted(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids) == sorted(dag.task_ids)
    pools = [bag.dags[name].get_task("forward_files").pool for name in ("to-amplitude", "to-mparticle")]
    assert pools == ["amplitude_shop", "default_pool"]


def test_a_job_by_hand_has_no_schedule_and_a_task_builds_its_own_dag_only(write_jobs: Callable[..., Path]) -> None:
    path = write_jobs(text=JOBS.format(url="http://127.0.0.1:9").replace("inbox: ./inbox,", "inbox: ./inbox, keep_updated: false,"))
    assert build_forwarding_dags(path)["to-amplitude"].schedule is None
    assert list(build_forwarding_dags(path, only="to-mparticle")) == ["to-mparticle"]
    assert build_forwarding_dags(path, only="shop-events") == {}


@pytest.mark.usefixtures("airflow_database")
def test_a_whole_run_sends_each_file_once(jobs_file: Path, sandbox: RunningSandbox, tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", [webhook(number) for number in range(30)])
    put(tmp_path, "b.jsonl", [webhook(number) for number in range(30, 50)] + ["no json"])
    sandbox.state.faults.add(parse_faults(["httpapi:stored"]))
    first = run(jobs_file, "to-amplitude")
    assert states(first) == {
        "plan": ["success"],
        "forward_files": ["a.jsonl and 1 more success"],
        "report": ["success"],
        "done": ["success"],
    }
    assert sorted(sandbox.state.tracked.summary()["insert_ids"]) == sorted(f"evt-{number}" for number in range(50))
    totals = next(task for task in first.get_task_instances() if task.task_id == "report").xcom_pull(task_ids="report")
    assert (totals["acknowledged"], totals["rejects"], totals["files"], totals["failed"]) == (50, 1, 2, 0)
    assert states(run(jobs_file, "to-amplitude"))["plan"] == ["success"]
    assert sandbox.state.tracked.summary()["duplicates"] == 50, "the first answer was lost, and nothing else sent twice"
    receipts = sorted(path.name for path in (tmp_path / "inbox/receipts/to-amplitude").glob("*.json"))
    assert receipts == ["a.jsonl.json", "b.jsonl.json"]
    assert json.loads((tmp_path / "inbox/receipts/to-amplitude/b.jsonl.json").read_text())["acknowledged"] == 20


def run(jobs_file: Path, dag_id: str) -> Any:
    return build_forwarding_dags(jobs_file)[dag_id].test()


def states(dag_run: Any) -> dict[str, list[str]]:
    """Task id and readable map names, with their states."""
    found: dict[str, list[str]] = {}
    for task in dag_run.get_task_instances():
        found.setdefault(task.task_id, []).append(f"{task.rendered_map_index or ''} {task.state}".strip())
    return {name: sorted(values) for name, values in found.items()}
