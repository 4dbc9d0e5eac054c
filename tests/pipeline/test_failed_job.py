"""A cohort request whose job failed at Amplitude."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.clients.amplitude import AmplitudeClient
from etl.errors import DataError
from etl.pipeline.cohorts import plan_cohorts, run_cohorts
from etl.pipeline.project import open_project
from etl.sandbox.server import RunningSandbox
from tests.pipeline.projects import write_jobs


def test_a_failed_job_is_asked_for_anew_by_the_next_run(sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = open_project(write_jobs(tmp_path, sandbox.url))

    def failed(client: AmplitudeClient, request_id: str, **_: Any) -> None:
        raise DataError("Amplitude could not compute the cohort", where={"request": request_id})

    with monkeypatch.context() as patched:
        patched.setattr(AmplitudeClient, "wait_for_cohort", failed)
        assert run_cohorts(project, "shop-cohorts").failed
    assert {planned.action for planned in plan_cohorts(project, "shop-cohorts")} == {"request"}
