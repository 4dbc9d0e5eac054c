"""The DAGs of forwarding jobs: one task for some files of the inbox that are not done, one task at a time."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, DeltaTriggerTimetable, TriggerRule, conf, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from amplitude_airflow import docs
from amplitude_airflow.errors import TryAgain, airflow_errors
from amplitude_airflow.factory import DEFAULTS, PROFILES
from amplitude_airflow.pools import pool_name
from amplitude_airflow.tasks import open_for_tasks, sum_counts
from etl.errors import ConfigurationError
from etl.jobs import load_jobs
from etl.jobs_forwarding import AmplitudeDestination, ForwardingJob

log = logging.getLogger(__name__)

_COUNTS = ("lines", "events", "acknowledged", "before", "duplicates", "rejects", "requests")
_BY_REASON = ("reasons", "skipped", "waiting", "misfits")
_WAITS_A_DAY = "daily quota"
_FILES_AT_ONCE = 50


def build_forwarding_dags(path: Path, *, only: str | None = None) -> dict[str, DAG]:
    """A DAG for each forwarding job of the file; `only` one where its id is given. Raises ConfigurationError."""
    jobs = load_jobs(path)
    if PROFILES in jobs.forwardings:
        raise ConfigurationError(f"a job cannot be called {PROFILES!r}", where={"file": path}, next_step="rename the job")
    dags: dict[str, DAG] = {}
    for name, job in jobs.forwardings.items():
        if only is None or name == only:
            destination = jobs.destinations[job.destination]
            pool = pool_name(destination.authorization) if isinstance(destination, AmplitudeDestination) else None
            dags[name] = _dag(path, name, job, pool)
    return dags


def _dag(path: Path, name: str, job: ForwardingJob, pool: str | None) -> DAG:
    with DAG(
        name,
        dag_display_name=job.label or name,
        description=job.description or f"Sends the events of {job.source} on to {job.destination}.",
        schedule=DeltaTriggerTimetable(timedelta(minutes=job.every_minutes)) if job.keep_updated else None,
        tags=["profilemill", "forwarding", job.source, job.destination],
        doc_md=docs.of_forwarding(path, name, job),
        default_args=DEFAULTS,
        max_active_runs=1,
        catchup=False,
    ) as dag:
        planned = plan_files.override(task_id="plan")(str(path), name)
        # One at a time: in the order of the files, and within the limits that the destination has for all of them together.
        options: dict[str, Any] = {"max_active_tis_per_dagrun": 1} | ({"pool": pool} if pool else {})
        sent = forward_files.override(**options).partial(jobs_file=str(path), job=name).expand(files=planned)
        report = report_forwarding.override(task_id="report")(name, planned, sent)
        # No worker runs an EmptyOperator: this only makes the run's state that of its files.
        [sent, report] >> EmptyOperator(task_id="done", trigger_rule=TriggerRule.NONE_FAILED)
    return dag


@task(multiple_outputs=False)
def plan_files(jobs_file: str, job: str) -> list[list[str]]:
    """The names of the files that are not done, oldest first, some for each task."""
    from etl.pipeline.forwarding import check_forwarding, plan_forwarding

    with airflow_errors(job):
        project = open_for_tasks(jobs_file)
        check_forwarding(project, job)
        names = [one.name for one in plan_forwarding(project, job)]
    planned = [names[start : start + _FILES_AT_ONCE] for start in range(0, len(names), _FILES_AT_ONCE)]
    most = conf.getint("core", "max_map_length", fallback=1024)
    if len(planned) > most:
        log.warning("%d files are waiting; this run sends the oldest %d, the next one goes on", len(names), most * _FILES_AT_ONCE)
    if not planned:
        log.info("nothing to send: every file of the inbox is done")
    return planned[:most]


@task(multiple_outputs=False, map_index_template="{{ shown_files }}")
def forward_files(jobs_file: str, job: str, files: list[str]) -> dict[str, Any]:
    """Sends what is left of some files; returns counts."""
    from etl.pipeline import forwarding

    shown = files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    get_current_context()["shown_files"] = shown  # type: ignore[typeddict-unknown-key]  # read by map_index_template
    with airflow_errors(job):
        report = forwarding.forward_files(open_for_tasks(jobs_file), job, files)
    for name in _BY_REASON:
        for why, count in getattr(report, name).items():
            log.info("  %-12s %9d  %s", name, count, why)
    if report.failed:
        texts = "\n  ".join(f"{name}: {text}" for name, text in report.failed.items())
        raise TryAgain(f"{len(report.failed)} files could not be sent; what was acknowledged is known\n  {texts}\n  Job: {job}")
    if set(report.waiting) - {_WAITS_A_DAY}:
        raise TryAgain(f"{sum(report.waiting.values())} events are left, because the destination asks to slow down\n  Job: {job}")
    return {name: getattr(report, name) for name in _COUNTS} | {"waiting": sum(report.waiting.values()), "files": len(report.files)}


@task(multiple_outputs=False, trigger_rule="all_done")
def report_forwarding(job: str, planned: Any, results: Any) -> dict[str, Any]:
    """Adds up what the files of this run came to, those that failed left out. Skipped when there was no plan."""
    if planned is None:
        raise AirflowSkipException("nothing was planned: the log of the task `plan` says why")
    done = [] if results is None else [one for one in list(results[:]) if one]
    total = sum_counts(done)
    log.info("job %s: %d of %d tasks have sent their files", job, len(done), len(planned))
    for name, count in total.items():
        if count:
            log.info("  %-16s %s", name, count)
    return {"files": 0} | total | {"failed": len(planned) - len(done)}
