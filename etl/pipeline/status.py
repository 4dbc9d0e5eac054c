"""Where everything stands, read from the lake alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from etl.jobs import CohortsJob, EventsJob
from etl.lake.loads import Load, current_loads
from etl.lake.tables import files_of, transaction_of
from etl.landing.archive import hour_of
from etl.pipeline.check_mappings import stopped
from etl.pipeline.counting import fields_from
from etl.pipeline.events import read_reach
from etl.pipeline.forwarding_status import ForwardingStatus, forwarding_status
from etl.pipeline.project import Project
from etl.pipeline.suppression import suppression_warning
from etl.profiles.companions import count_profiles
from etl.profiles.repeated import count_repeated
from etl.records import hour_text
from etl.reports import FieldCounts
from etl.sources.amplitude_events import last_exportable
from etl.windows import HOUR, Window

_COUNTED = ("lines", "rows", "duplicates", "rejects", "unidentified", "early")


@dataclass
class JobStatus:
    """A job's loads in sum, and what came of each of its fields; `stale` counts loads mapped by an earlier version of the
    mapping. Where `stopped` gives reasons, the job imports nothing until the loads of `mapping` are mapped anew."""

    job: str
    stream: str
    loads: int = 0
    empty: int = 0
    missing: int | None = None
    first: str | None = None
    newest: str | None = None
    lines: int = 0
    rows: int = 0
    duplicates: int = 0
    rejects: int = 0
    unidentified: int = 0
    early: int = 0
    stale: int = 0
    mapping: str = ""
    stopped: list[str] = field(default_factory=list)
    fields: dict[str, FieldCounts] = field(default_factory=dict)
    cohorts: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Status:
    """A lake at a glance. `waiting` counts loads that no build has applied yet, `repeated_keys` keys that stand in more than
    one load; `forgotten` says what to do where people who were forgotten would come back."""

    lake: str
    jobs: list[JobStatus]
    profiles: int
    quarantined: int
    build: int
    waiting: int
    conflicts: int
    forwardings: list[ForwardingStatus] = field(default_factory=list)
    repeated_keys: int = 0
    forgotten: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(project: Project) -> Status:
    """The state of every job and of the profiles. Asks nothing of Amplitude and writes nothing."""
    project.lake.ensure_folder()
    loads = list(current_loads(project.lake).values())
    jobs = []
    for name, job in project.jobs.imports.items():
        own = [load for load in loads if load.stream == job.stream and load.scope == job.authorization]
        mapping = project.mapping(job)
        found = _summed(name, job.stream, own, mapping.fingerprint)
        found.mapping, found.stopped = job.mapping_name, stopped(project, job, mapping)
        if isinstance(job, EventsJob):
            found.missing = _missing(project, job, own)
            times = sorted(hour_text(load.time) for load in own)
            found.first, found.newest = (times[0], times[-1]) if times else (None, None)
        elif isinstance(job, CohortsJob):
            found.cohorts = _cohorts(own)
            found.newest = max((load.time.isoformat() for load in own), default=None)
        jobs.append(found)
    applied = transaction_of(project.lake.profiles, "loads") or 0
    counted = count_profiles(project.lake) if files_of(project.lake.profiles) else {"profiles": 0, "quarantined": 0}
    build = transaction_of(project.lake.profiles, "build") or 0
    return Status(
        lake=str(project.lake.root),
        jobs=jobs,
        build=build,
        waiting=sum(1 for load in loads if load.sequence > applied and load.rows),
        conflicts=sum(file.rows for file in files_of(project.lake.conflicts)),
        forwardings=[forwarding_status(project, name, job) for name, job in project.jobs.forwardings.items()],
        repeated_keys=count_repeated(project.lake, build),
        forgotten=suppression_warning(project),
        **counted,
    )


def _summed(name: str, stream: str, loads: list[Load], fingerprint: str) -> JobStatus:
    found = JobStatus(name, stream, loads=len(loads), empty=sum(1 for load in loads if load.lines == 0))
    for column in _COUNTED:
        setattr(found, column, sum(getattr(load, column) for load in loads))
    found.stale = sum(1 for load in loads if load.mapping != fingerprint and load.lines)
    for load in loads:
        for field_name, count in fields_from(load.misfits).items():
            found.fields.setdefault(field_name, FieldCounts()).add(count)
    return found


def _missing(project: Project, job: EventsJob, loads: list[Load]) -> int | None:
    """Hours within the job's reach that are not loaded; None before the first run without a window."""
    reach = read_reach(project.lake, job.authorization)
    if reach is None:
        return None
    last: datetime = last_exportable(project.clock.now())
    if last < reach.first_hour:
        return 0
    committed = {hour_of(load.unit) for load in loads}
    return sum(1 for hour in Window(reach.first_hour, last + HOUR).hours if hour not in committed)


def _cohorts(loads: list[Load]) -> list[dict[str, Any]]:
    """The newest snapshot of each cohort."""
    newest: dict[str, tuple[datetime, dict[str, Any]]] = {}
    for load in loads:
        details = json.loads(load.details)
        one = {
            "id": details["cohort_id"],
            "name": details["cohort_name"],
            "last_computed": load.time.isoformat(),
            "members": load.lines - (details["exits"] or 0),
            "exits": details["exits"],
        }
        if details["cohort_id"] not in newest or load.time > newest[details["cohort_id"]][0]:
            newest[details["cohort_id"]] = (load.time, one)
    return [one for _, one in sorted(newest.values(), key=lambda pair: str(pair[1]["name"]))]
