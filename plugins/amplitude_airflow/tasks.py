"""What the DAGs' tasks do: the steps of `etl.pipeline` with Airflow's connections, errors and logs around them.

The heavy libraries are imported inside the functions: the DAG files import this module each time they are parsed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from amplitude_airflow.errors import TryAgain, airflow_errors
from amplitude_airflow.hooks import find_keys
from etl.errors import ConfigurationError
from etl.records import hour_text
from etl.reports import ImportReport
from etl.settings import utc_now
from etl.windows import HOUR, Window, floor_hour, parse_hour

if TYPE_CHECKING:
    from airflow.sdk.api.datamodels._generated import DagRunType

    from etl.pipeline.project import Project

log = logging.getLogger(__name__)

_LISTS = ("loaded", "replaced", "unchanged", "empty", "open", "shrunk", "skipped")


def open_for_tasks(jobs_file: str) -> Project:
    """The project of a jobs file, with Airflow's connections for the authorizations that name one."""
    from etl.pipeline.project import open_project

    return replace(open_project(Path(jobs_file)), find_keys=find_keys)


@task(multiple_outputs=False)
def plan_hours(jobs_file: str, job: str) -> list[str]:
    """The export requests of this run, as `2022-11-21T00..2022-11-22T00`."""
    from etl.pipeline.events import plan_events, start_events

    context = get_current_context()
    params = context["params"]
    run = context["dag_run"]
    with airflow_errors(job):
        project = open_for_tasks(jobs_file)
        project.mapping(project.job(job))
        window = window_of(params, run.run_type, run.data_interval_start, run.data_interval_end)
        if window is None:
            reach = start_events(project, job)
            log.info("no window given: the missing hours since %s", hour_text(reach.first_hour))
        planned = [str(one) for one in plan_events(project, job, window, force=bool(params.get("force")))]
    most = conf.getint("core", "max_map_length", fallback=1024)
    if len(planned) > most:
        log.warning("%d requests, of which this run makes the oldest %d; the next run goes on", len(planned), most)
    for one in planned[:most]:
        log.info("to import: %s", one)
    if not planned:
        log.info("nothing to import: every hour that is wanted and ready is in the lake")
    return planned[:most]


@task(multiple_outputs=False, map_index_template="{{ hours }}")
def import_hours(jobs_file: str, job: str, window: str) -> dict[str, Any]:
    """Imports the hours of one export request; returns counts."""
    from etl.pipeline.events import import_window

    context = get_current_context()
    context["hours"] = window  # type: ignore[typeddict-unknown-key]  # read by map_index_template
    with airflow_errors(job):
        project = open_for_tasks(jobs_file)
        report = import_window(project, job, window_from(window), force=bool(context["params"].get("force")))
    log_report(report)
    if report.failed:
        raise TryAgain(f"{len(report.failed)} hours are open still; the others are loaded\n  {_joined(report.failed)}")
    return counts_of(report)


@task(multiple_outputs=False)
def plan_cohorts(jobs_file: str, job: str) -> list[dict[str, Any]]:
    """The cohorts of this run that are to be imported."""
    from etl.pipeline import cohorts

    params = get_current_context()["params"]
    with airflow_errors(job):
        project = open_for_tasks(jobs_file)
        project.mapping(project.job(job))
        plans = cohorts.plan_cohorts(project, job, params.get("cohorts") or [], force=bool(params.get("force")))
    for plan in plans:
        log.info("%s %s (%s): %s", plan.action, plan.name, plan.id, plan.reason)
    return [plan.as_dict() for plan in plans if plan.action != "skip"]


@task(multiple_outputs=False, trigger_rule="all_done")
def report_import(job: str, planned: list[Any] | None, results: Any) -> dict[str, Any]:
    """Adds up what the imports of this run did, those that failed left out; its asset starts the profiles.

    Skipped, and with it the asset, when there was no plan.
    """
    if planned is None:
        raise AirflowSkipException("nothing was planned: the log of the task `plan` says why")
    done = [] if results is None else [one for one in list(results[:]) if one]
    total = sum_counts(done)
    missing = len(planned) - len(done)
    log.info("job %s: %d of %d imports done", job, len(done), len(planned))
    for name, count in total.items():
        if count:
            log.info("  %-16s %s", name, count)
    if missing:
        log.warning("%d imports failed: the log of each says what to do; running the job again does only those", missing)
    return total | {"imports": len(done), "failed": missing}


@task(multiple_outputs=False)
def build_profiles(jobs_file: str) -> dict[str, Any]:
    """Brings the profiles up to the loads of the lake; does nothing when they are."""
    from etl.pipeline.profiles import build

    with airflow_errors("profiles"):
        made = build(open_for_tasks(jobs_file), on_step=lambda step: log.info("%s", step))
    log.info("build %d: %d profiles, %d new, %d changed", made.build, made.profiles, made.inserted, made.updated)
    return dict(vars(made))


@task(multiple_outputs=False, map_index_template="{{ destination_name }}")
def load_destination(jobs_file: str, destination: str) -> dict[str, Any]:
    """Brings one destination up to the profiles."""
    from etl.pipeline import profiles

    get_current_context()["destination_name"] = destination  # type: ignore[typeddict-unknown-key]
    with airflow_errors("profiles"):
        made = profiles.load_destination(open_for_tasks(jobs_file), destination)
    log.info("%s: %d written, %d deleted, at %s", destination, made.written, made.deleted, made.location)
    return dict(vars(made))


def window_of(params: Mapping[str, Any], run_type: DagRunType | str, start: datetime | None, end: datetime | None) -> Window | None:
    """The window of a run: the form's hours, else the interval of a backfill; None for whatever is missing.

    `from` alone reaches to the hour that is running. Raises ConfigurationError.
    """
    first, last = (params.get("from") or None), (params.get("to") or None)
    if first is None and last is None:
        if getattr(run_type, "value", run_type) == "backfill" and start is not None and end is not None:
            return Window(start, end)
        return None
    if first is None:
        raise ConfigurationError("`to` is given without `from`", value=last, next_step="fill in both, or neither")
    begin = parse_hour(first)
    return Window(begin, parse_hour(last) if last else max(floor_hour(utc_now()), begin + HOUR))


def window_from(text: str) -> Window:
    """The window of `2022-11-21T00..2022-11-22T00`."""
    start, end = text.split("..")
    return Window(parse_hour(start), parse_hour(end))


def counts_of(report: ImportReport) -> dict[str, int]:
    """A report as counts: what may pass through XCom."""
    counts: dict[str, int] = {}
    for one in fields(report):
        value = getattr(report, one.name)
        if one.name in _LISTS:
            counts[one.name] = len(value)
        elif isinstance(value, int):
            counts[one.name] = value
    return {**counts, "misfits": report.misfits}


def sum_counts(all_counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums, name by name."""
    total: dict[str, int] = {}
    for counts in all_counts:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total


def log_report(report: ImportReport) -> None:
    """What an import did, for the task's log: counts, and by name what needs a look."""
    for name, count in counts_of(report).items():
        if count:
            log.info("  %-16s %s", name, count)
    for name, field in report.fields.items():
        if field.misfits:
            log.warning("  %s: %s values could not be read, such as %s", name, field.misfits, field.samples)
    for load in report.shrunk:
        log.warning("  %s holds less than before; the earlier attempt is kept", load)


def _joined(failed: Mapping[str, str]) -> str:
    return "\n  ".join(f"{load}: {text}" for load, text in failed.items())
