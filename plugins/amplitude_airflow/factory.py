"""DAGs from `jobs.yaml`: one for each job, and `profiles`, which their assets start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, TriggerRule

from amplitude_airflow import docs
from amplitude_airflow.assets import stream_asset
from amplitude_airflow.errors import DelayPolicy
from amplitude_airflow.operators import FIRST_POLL, ImportCohortOperator
from amplitude_airflow.pools import pool_name
from amplitude_airflow.tasks import (
    build_profiles,
    import_hours,
    load_destination,
    plan_cohorts,
    plan_hours,
    report_import,
)
from amplitude_airflow.timetable import DelayedIntervalTimetable
from etl.errors import ConfigurationError
from etl.jobs import ENVIRONMENT, CohortsJob, EventsJob, find_jobs_file, load_jobs

PROFILES = "profiles"
# An hour can be exported two hours after it has ended.
DELAY = timedelta(hours=2)
_EXPORTS_AT_ONCE = 2
DEFAULTS: dict[str, Any] = {
    "owner": "profilemill",
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "retry_policy": DelayPolicy(),
}
_HOUR_FORM = r"^\s*$|^\d{4}-\d{2}-\d{2}([T ]\d{2}.*)?$"


def jobs_file_beside(dag_file: str) -> Path:
    """The jobs file by PROFILEMILL_JOBS or the working folder, else the one beside the folder of the DAG file (never in place of
    one that PROFILEMILL_JOBS names).

    Raises ConfigurationError when there is none.
    """
    beside = Path(dag_file).resolve().parent.parent / "jobs.yaml"
    if ENVIRONMENT not in os.environ and not Path("jobs.yaml").is_file() and beside.is_file():
        return beside
    return find_jobs_file(None)


def build_dags(path: Path, *, only: str | None = None, first_poll: float = FIRST_POLL) -> dict[str, DAG]:
    """A DAG for each job of the file; `only` one where its id is given. Raises ConfigurationError with every fault."""
    jobs = load_jobs(path)
    if PROFILES in jobs.jobs:
        raise ConfigurationError(
            f"a job cannot be called {PROFILES!r}: the DAG that builds the profiles has this name",
            where={"file": path},
            next_step="rename the job",
        )
    dags: dict[str, DAG] = {}
    for name, job in jobs.imports.items():
        if only is not None and name != only:
            continue
        if isinstance(job, EventsJob):
            dags[name] = _events_dag(path, name, job)
        else:
            dags[name] = _cohorts_dag(path, name, job, first_poll)
    return dags


def build_profiles_dag(path: Path) -> DAG:
    """The DAG that builds the profiles after any import, and loads each destination that a job names, once."""
    jobs = load_jobs(path)
    condition: Any = None
    for stream in sorted({job.stream for job in jobs.imports.values()}):
        condition = stream_asset(stream) if condition is None else condition | stream_asset(stream)
    with DAG(
        PROFILES,
        dag_display_name="Profiles",
        schedule=condition,
        tags=["profilemill", "profiles"],
        description="Builds the profiles from what the imports have loaded, and loads the destinations.",
        doc_md=docs.of_profiles(path, jobs),
        default_args=DEFAULTS,
        max_active_runs=1,
        catchup=False,
        # It does nothing by itself, and a paused DAG never sees the assets that it has missed.
        is_paused_upon_creation=False,
    ) as dag:
        built = build_profiles.override(task_id="build")(str(path))
        destinations = list(dict.fromkeys(name for job in jobs.imports.values() for name in job.destinations))
        if destinations:
            built >> load_destination.override(task_id="load").partial(jobs_file=str(path)).expand(destination=destinations)
    return dag


def _events_dag(path: Path, name: str, job: EventsJob) -> DAG:
    pool = pool_name(job.authorization)
    params = {
        "from": Param(
            None,
            type=["null", "string"],
            pattern=_HOUR_FORM,
            title="From (UTC hour)",
            description="The first hour, such as 2024-03-02T00. Empty: every hour that is missing.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            pattern=_HOUR_FORM,
            title="To (UTC hour, not included)",
            description="The hour to stop before, such as 2024-03-03T00. Empty: up to now.",
        ),
        "force": _force("Download hours again that are in the lake already."),
    }
    with DAG(
        name,
        schedule=DelayedIntervalTimetable(DELAY) if job.keep_updated else None,
        params=params,
        **_common(path, name, job),
    ) as dag:
        planned = plan_hours.override(task_id="plan")(str(path), name)
        imported = (
            import_hours.override(pool=pool, max_active_tis_per_dagrun=_EXPORTS_AT_ONCE)
            .partial(jobs_file=str(path), job=name)
            .expand(window=planned)
        )
        _finish(name, job, planned, imported)
    return dag


def _cohorts_dag(path: Path, name: str, job: CohortsJob, first_poll: float) -> DAG:
    hour, minute = job.time_of_day.split(":")
    pool = pool_name(job.authorization)
    params = {
        "cohorts": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            title="Cohorts",
            description="Ids or names, one per line. Empty: those of the job.",
        ),
        "force": _force("Ask for cohorts again that were not computed since they were loaded. Each costs quota."),
        "accept_exits": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            title="Accept exits",
            description="Ids or names of cohorts that may lose more members at once than the job's max_exit_share.",
        ),
    }
    schedule = CronTriggerTimetable(f"{int(minute)} {int(hour)} * * *", timezone=job.timezone)
    with DAG(
        name,
        schedule=schedule if job.keep_updated else None,
        params=params,
        **_common(path, name, job),
    ) as dag:
        planned = plan_cohorts.override(task_id="plan", pool=pool)(str(path), name)
        imported = ImportCohortOperator.partial(
            task_id="import_cohort",
            jobs_file=str(path),
            job=name,
            first_poll=first_poll,
            pool=pool,
            map_index_template="{{ task.planned['name'] }}",
        ).expand(planned=planned)
        _finish(name, job, planned, imported.output)
    return dag


def _common(path: Path, name: str, job: EventsJob | CohortsJob) -> dict[str, Any]:
    return {
        "dag_display_name": job.label or name,
        "description": job.description or f"Imports {job.stream.replace('_', ' ')} into the lake.",
        "tags": ["profilemill", job.stream, job.authorization],
        "doc_md": docs.of_job(path, name, job),
        "default_args": DEFAULTS,
        "max_active_runs": 1,
        "catchup": False,
    }


def _finish(name: str, job: EventsJob | CohortsJob, planned: Any, imported: Any) -> None:
    """The report, which always runs and announces the stream, and the end, which fails when an import has failed."""
    report = report_import.override(task_id="report", outlets=[stream_asset(job.stream)])(name, planned, imported)
    # No worker runs an EmptyOperator: this only makes the run's state that of its imports.
    end = EmptyOperator(task_id="done", trigger_rule=TriggerRule.NONE_FAILED)
    [imported, report] >> end


def _force(description: str) -> Param:
    return Param(False, type="boolean", title="Force", description=description)
