"""Real Airflow processes: scheduler, executor, triggerer, API; DAG runs are started over REST."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from amplitude_airflow.local_airflow import LocalAirflow, free_port
from amplitude_airflow.rest import AirflowApi, Run
from amplitude_airflow.services import Services, processes_of

from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.profiles.published import read_profiles
from etl.sandbox.server import RunningSandbox
from tests.dags.conftest import ROOT

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(300)]


def finished(api: AirflowApi, services: Services, find: Callable[[], Run | None]) -> Run:
    end = time.monotonic() + 150
    while True:
        services.check()
        run = find()
        if run is not None and run.finished:
            return run
        assert time.monotonic() < end, run and api.tasks(run)
        time.sleep(0.5)


def test_jobs_run_by_the_scheduler_and_start_the_profiles(jobs_file: Path, sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Pools are made, cohorts wait in the triggerer, assets start the profiles, and at the end no process is left."""
    # A backfill of no days: the run that the schedule starts at once finds nothing to do.
    text = jobs_file.read_text().replace("label: Shop events,", "backfill_days: 0,")
    jobs_file.write_text(text.replace("    time_of_day:", "    keep_updated: false\n    cohorts: [Everybody]\n    time_of_day:"))
    airflow = LocalAirflow(tmp_path / "airflow", ROOT, free_port(), jobs_file)
    steps: list[str] = []
    with Services(tmp_path / "services", patience=3.0) as services:
        airflow.start(services, airflow.environment(), steps.append)
        sessions = services.sessions
        with AirflowApi(airflow.url) as api:
            api.wait_for_dags({"shop-events", "shop-cohorts", "profiles"})
            assert api.import_errors() == []
            assert api.get("plugins/importErrors")["import_errors"] == []
            day = {"from": "2022-11-21T00", "to": "2022-11-21T06"}
            imports = [api.trigger("shop-cohorts"), api.trigger("shop-events", day)]
            # Airflow's own backfill: the interval of the run is the hour that it imports.
            hour = "2022-11-21T10:00:00Z"
            api.backfill("shop-events", hour, hour)
            (backfill,) = [run for run in api.runs("shop-events") if run.kind == "backfill"]
            imports.append(backfill)
            for run in imports:
                ended = finished(api, services, lambda run=run: api.run(run))
                assert ended.state == "success", api.tasks(run)
            reported = max(str(task["start_date"]) for run in imports for task in api.tasks(run) if task["task_id"] == "report")

            def covering() -> Run | None:
                runs = [run for run in api.runs("profiles") if run.started is not None and run.started >= reported]
                return runs[-1] if runs else None

            assert finished(api, services, covering).state == "success"
            (scheduled,) = [run for run in api.get("dags/shop-events/dagRuns")["dag_runs"] if run["run_type"] == "scheduled"]
            start, end, after = (
                datetime.fromisoformat(scheduled[name]) for name in ("data_interval_start", "data_interval_end", "run_after")
            )
            assert (end - start, after - end) == (timedelta(hours=1), timedelta(hours=2))
            pools = {pool["name"]: pool for pool in api.get("pools")["pools"]}
            assert (pools["amplitude_shop"]["slots"], pools["amplitude_shop"]["include_deferred"]) == (4, True)
            (mapped,) = [task for task in api.tasks(imports[0]) if task["task_id"] == "import_cohort"]
            assert (mapped["rendered_map_index"], mapped["state"], mapped["try_number"]) == ("Everybody", "success", 1)
    assert processes_of(sessions) == []
    assert steps[0] == "preparing Airflow's database"
    lake = Lake(jobs_file.parent / "lake")
    assert len(current_loads(lake)) == 8
    assert len(read_profiles(lake.root)) > 0
