"""What cohorts cost: the month's requests, and what the next run of each cohort job asks for. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.clients.amplitude import Cohort, CohortUsage
from etl.jobs import CohortsJob
from etl.lake.loads import Load, current_loads
from etl.landing.snapshot import STREAM
from etl.pipeline.cohorts import plan_listed
from etl.pipeline.exits import details_of
from etl.pipeline.project import Project
from etl.sources.amplitude_cohorts import CohortPlan, select


@dataclass(frozen=True)
class CohortRow:
    """A cohort as Amplitude lists it and as the lake knows it; times are UTC.

    `last_loaded` is the `last_computed` of the newest snapshot in the lake, `loaded_at` when that was imported. `action` is
    what the next run does: request (costs one of the month's requests), adopt (a request that was made already), wait (for
    the quota), skip, or none (not the job's).
    """

    id: str
    name: str
    size: int | None
    last_computed: datetime | None
    last_loaded: datetime | None
    loaded_at: datetime | None
    action: str
    reason: str


@dataclass(frozen=True)
class JobQuota:
    """A cohort job's plan, and the requests of its Amplitude project: None where Amplitude does not tell.

    `requests` is what the next run asks for, the waiting ones not among them. `at_most` is what daily runs until
    `resets_at` would ask for if every chosen cohort were computed anew each day.
    """

    job: str
    authorization: str
    used: int | None
    limit: int | None
    resets_at: datetime
    requests: int
    at_most: int
    cohorts: tuple[CohortRow, ...]

    @property
    def left(self) -> int | None:
        """Requests left in this month before the next run."""
        return None if self.used is None or self.limit is None else max(0, self.limit - self.used)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"left": self.left}


def quota_of(project: Project, names: Iterable[str] = ()) -> list[JobQuota]:
    """The plans of the named cohort jobs, or of all. Asks Amplitude for its list of cohorts and for the usage, which cost
    no quota. Raises ConfigurationError for a name that is no cohort job."""
    chosen = list(names) or [name for name, job in project.jobs.jobs.items() if isinstance(job, CohortsJob)]
    loads = [load for load in current_loads(project.lake).values() if load.stream == STREAM]
    spent: dict[str, int] = {}
    found = []
    for name in chosen:
        job = project.cohorts_job(name)
        made = _quota(project, name, job, [load for load in loads if load.scope == job.authorization], spent.get(job.authorization, 0))
        # Jobs on one project share its quota: the next one has less.
        spent[job.authorization] = spent.get(job.authorization, 0) + made.requests
        found.append(made)
    return found


def _quota(project: Project, name: str, job: CohortsJob, loads: list[Load], spent: int) -> JobQuota:
    client = project.client(job)
    listed = client.list_cohorts()
    usage = client.cohort_usage() or CohortUsage(None, None)
    now = project.clock.now()
    resets_at = usage.resets_at or _next_month(now)
    left = None if usage.used is None or usage.limit is None else max(0, usage.limit - usage.used - spent)
    plans = plan_listed(project, name, listed)
    newest = _newest(loads)
    rows, requests = [], 0
    for planned in plans:
        action, reason = str(planned.action), planned.reason
        if action == "request" and left is not None and requests >= left:
            action, reason = "wait", f"{reason}, but the month's requests are used up until {resets_at:%Y-%m-%d}"
        requests += action == "request"
        rows.append(_row(planned, newest.get(planned.id), action, reason))
    rows += _others(listed, plans, newest)
    chosen = sum(1 for one in select(listed, job.cohorts) if one.last_computed is not None)
    days = max(1, -(-(resets_at - now) // timedelta(days=1)))
    return JobQuota(name, job.authorization, usage.used, usage.limit, resets_at, requests, chosen * days, tuple(rows))


def _others(listed: list[Cohort], plans: list[CohortPlan], newest: Mapping[str, Load]) -> list[CohortRow]:
    """Cohorts that the job does not choose, and those of the lake that are not listed any more."""
    chosen = {one.id for one in plans}
    rows = []
    for cohort in listed:
        if cohort.id not in chosen:
            planned = CohortPlan(cohort.id, cohort.name, cohort.size, cohort.last_computed, "skip", "")
            reason = "archived" if cohort.archived else "not chosen by the job"
            rows.append(_row(planned, newest.get(cohort.id), "none", reason))
    known = chosen | {cohort.id for cohort in listed}
    for id_, load in newest.items():
        if id_ not in known:
            gone = CohortPlan(id_, str(details_of(load)["cohort_name"]), None, None, "skip", "")
            rows.append(_row(gone, load, "none", "not listed any more: its members stay as they are"))
    return rows


def _row(planned: CohortPlan, load: Load | None, action: str, reason: str) -> CohortRow:
    computed = None if planned.last_computed is None else datetime.fromtimestamp(planned.last_computed, UTC)
    loaded, at = (None, None) if load is None else (load.time, load.committed_at)
    return CohortRow(planned.id, planned.name, planned.size, computed, loaded, at, action, reason)


def _newest(loads: Iterable[Load]) -> dict[str, Load]:
    return {str(details_of(load)["cohort_id"]): load for load in sorted(loads, key=lambda load: load.time)}


def _next_month(now: datetime) -> datetime:
    """When Amplitude begins to count anew, as far as is known: the first of the month, UTC."""
    return (now.astimezone(UTC).replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
