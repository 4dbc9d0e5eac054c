"""The operator: submits or adopts, waits without a worker, loads; the lake remembers the request, not the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from amplitude_airflow.errors import TryAgain
from amplitude_airflow.operators import ImportCohortOperator
from amplitude_airflow.triggers import CohortTrigger

from etl.pipeline.cohorts import plan_cohorts, request_cohort
from etl.pipeline.project import open_project
from etl.sandbox.faults import Fault
from etl.sandbox.server import RunningSandbox

CONTEXT: Any = {"params": {"force": False, "accept_exits": []}}


def operator(jobs_file: Path, **more: Any) -> ImportCohortOperator:
    plan = plan_cohorts(open_project(jobs_file), "shop-cohorts")[0]
    return ImportCohortOperator(task_id="import_cohort", jobs_file=str(jobs_file), job="shop-cohorts", planned=plan.as_dict() | more)


def asked(sandbox: RunningSandbox, route: str) -> int:
    return int(sandbox.state.asked()["routes"].get(route, 0))


def deferral(task: ImportCohortOperator) -> CohortTrigger:
    with pytest.raises(TaskDeferred) as caught:
        task.execute(CONTEXT)
    assert caught.value.method_name == "finish"
    assert isinstance(caught.value.trigger, CohortTrigger)
    return caught.value.trigger


def test_it_asks_looks_once_and_waits_in_the_triggerer(jobs_file: Path, sandbox: RunningSandbox) -> None:
    trigger = deferral(operator(jobs_file))
    assert (asked(sandbox, "cohort_request"), asked(sandbox, "cohort_status")) == (1, 1)
    assert trigger.poll["before_first"] == 10.0


def test_a_lost_try_adopts_the_request_and_costs_no_quota(jobs_file: Path, sandbox: RunningSandbox) -> None:
    """The second try looks again; the sandbox is ready at the second look, so nothing is waited for."""
    task = operator(jobs_file)
    deferral(task)
    found = task.execute(CONTEXT)
    assert asked(sandbox, "cohort_request") == 1
    assert found["loaded"] == 1
    assert found["rows"] > 0
    assert "failed" not in found and all(isinstance(count, int) for count in found.values())


def test_after_the_wait_the_file_is_loaded(jobs_file: Path, sandbox: RunningSandbox) -> None:
    task = operator(jobs_file)
    request_id = deferral(task).request_id
    with open_project(jobs_file).client(open_project(jobs_file).job("shop-cohorts")) as client:
        client.cohort_status(request_id)
    assert task.finish(CONTEXT, {"state": "ready", "request_id": request_id})["loaded"] == 1
    after = {one.id: one.action for one in plan_cohorts(open_project(jobs_file), "shop-cohorts")}
    assert after[task.planned["id"]] == "skip"


def test_an_expired_request_is_forgotten_and_the_next_try_asks_anew(jobs_file: Path, sandbox: RunningSandbox) -> None:
    """Even where the plan of this run still names the expired request."""
    project = open_project(jobs_file)
    plan = plan_cohorts(project, "shop-cohorts")[0]
    request_cohort(project, "shop-cohorts", plan)
    adopting = plan_cohorts(project, "shop-cohorts")[0]
    assert adopting.action == "adopt"
    task = operator(jobs_file, **replace(adopting).as_dict())
    with pytest.raises(TryAgain, match="gone"):
        task.finish(CONTEXT, {"state": "expired", "text": "it is gone", "delay": None})
    deferral(task)
    assert asked(sandbox, "cohort_request") == 2


def test_events_without_a_file_become_failures(jobs_file: Path) -> None:
    task = operator(jobs_file)
    with pytest.raises(AirflowFailException, match="refused"):
        task.finish(CONTEXT, {"state": "fail", "text": "refused"})
    with pytest.raises(TryAgain, match="503") as caught:
        task.finish(CONTEXT, {"state": "again", "text": "503", "delay": 7.0})
    assert caught.value.delay == 7.0


def test_a_used_up_quota_fails_without_another_try(jobs_file: Path, sandbox: RunningSandbox) -> None:
    task = operator(jobs_file)
    sandbox.state.faults.add([Fault("cohort_request", "quota", None)])
    with pytest.raises(AirflowFailException, match="Not before: "):
        task.execute(CONTEXT)


def test_a_wrong_key_fails_with_the_remedy(jobs_file: Path, sandbox: RunningSandbox, write_jobs: Callable[..., Path]) -> None:
    task = operator(jobs_file)
    write_jobs(sandbox.url, key="wrong")
    with pytest.raises(AirflowFailException) as caught:
        task.execute(CONTEXT)
    assert str(caught.value).endswith(
        "  Next: check the API key, the secret key and the region (that of base_url): "
        "right keys in the wrong region look just like wrong keys\n  Job: shop-cohorts"
    )
