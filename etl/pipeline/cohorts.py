"""A cohort job, step by step: plan, request, wait, download and load; each step restartable by itself.

A request costs quota, so its id is stored in the lake before anything waits for it, and adopted by whoever comes next.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from etl.clients.amplitude import AmplitudeClient
from etl.errors import CredentialsError, DataError, ProfilemillError, QuotaExhausted, RequestExpired, SnapshotRefused
from etl.jobs import CohortsJob
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.landing.manifest import Landed, read_manifest, slug, write_json
from etl.landing.snapshot import (
    STREAM,
    Before,
    Snapshot,
    check_exits,
    checked_members,
    copy_members,
    land_snapshot,
    members_in,
    snapshot_of,
)
from etl.landing.store import arriving
from etl.pipeline.ingest import Ingest, attempt_folder, ingest
from etl.pipeline.project import Progress, Project
from etl.reports import ImportReport
from etl.sources.amplitude_cohorts import CohortPlan, plan, select

log = logging.getLogger(__name__)

# Amplitude keeps a request's file for seven days (amplitude-api.md 2.1); one day less leaves time to use it.
_ADOPT_WITHIN = timedelta(days=6)


def plan_cohorts(project: Project, name: str, wanted: Iterable[str] = (), *, force: bool = False) -> list[CohortPlan]:
    """What a run does about each selected cohort, and why. One request to Amplitude; writes nothing.

    `wanted` (ids or names) overrides the job's own selection.
    """
    job = project.cohorts_job(name)
    client = project.client(job)
    chosen = select(client.list_cohorts(), list(wanted) or job.cohorts)
    loaded: dict[str, int] = {}
    for load in _cohort_loads(project.lake, job.authorization):
        details = json.loads(load.details)
        loaded[details["cohort_id"]] = max(details["last_computed"], loaded.get(details["cohort_id"], 0))
    requested = _known_requests(project.lake, job.authorization, project.clock.now())
    return plan(chosen, loaded, requested, force=force)


def request_cohort(project: Project, name: str, planned: CohortPlan) -> str:
    """The id of the request for a cohort: a known one, or a new one, stored before it is returned."""
    job = project.cohorts_job(name)
    if planned.request_id is not None:
        return planned.request_id
    known = _known_requests(project.lake, job.authorization, project.clock.now())
    if (found := known.get((planned.id, planned.last_computed or 0))) is not None:
        return found
    project.lake.ensure_writable()
    properties = job.props if isinstance(job.props, list) else []
    request_id = project.client(job).request_cohort(planned.id, props=bool(job.props), property_keys=properties)
    path = _request_path(project.lake, job.authorization, planned)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "cohort": planned.id,
        "last_computed": planned.last_computed,
        "request_id": request_id,
        "requested_at": project.clock.now().isoformat(),
    }
    write_json(path, content)
    return request_id


def import_cohort(
    project: Project,
    name: str,
    planned: CohortPlan,
    request_id: str,
    *,
    accept_exits: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Downloads and loads a cohort whose request is ready. Raises SnapshotRefused for a file not to be believed, and
    RequestExpired (the request is forgotten then, so that the next try asks anew)."""
    job = project.cohorts_job(name)
    shown = progress or Progress()
    project.lake.ensure_writable()
    landing = project.lake.landing
    mapping = project.mapping(job)
    snapshot = Snapshot(planned.id, planned.name, planned.last_computed or 0, planned.size, job.authorization)
    accepted = planned.id in accept_exits or planned.name in accept_exits or _accepted_before(project.lake, snapshot)
    with arriving(landing, f"cohort-{slug(planned.id)}") as folder:
        try:
            file = project.client(job).download_cohort(request_id, folder / "members.csv", on_bytes=shown.on_bytes).path
            members = checked_members(snapshot, file)
        except (RequestExpired, SnapshotRefused):
            # Whoever tries again has to ask anew: this request's file stays as it is.
            forget_request(project, name, planned)
            raise
        downloaded = file.stat().st_size
        before = _before(project.lake, job, snapshot)
        if before is not None and not accepted:
            check_exits(snapshot, members, before, job.max_exit_share)
        landed = land_snapshot(landing, snapshot, file, before, {"exits_accepted": accepted})
    attempts = [landed, *_successor(project, job, snapshot, landed)]
    settings = Ingest(project.lake, mapping, name, project.clock, force=True, remap=force)
    report = ImportReport(name, downloaded_bytes=downloaded)
    report.add(ingest(settings, attempts))
    if str(snapshot.load) not in report.unchanged:
        report.exits = landed.details["exits"] or 0
    _request_path(project.lake, job.authorization, planned).unlink(missing_ok=True)
    return report


def run_cohorts(
    project: Project,
    name: str,
    wanted: Iterable[str] = (),
    *,
    accept_exits: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """The whole job. All requests are made first, so that Amplitude works on them side by side; a cohort that fails is
    named in `failed` and the others go on."""
    job = project.cohorts_job(name)
    project.mapping(job)
    shown = progress or Progress()
    report = ImportReport(name)
    plans = plan_cohorts(project, name, wanted, force=force)
    report.skipped = [f"{one.name} ({one.id}): {one.reason}" for one in plans if one.action == "skip"]
    todo = [one for one in plans if one.action != "skip"]
    requests = _request_all(project, name, todo, report)
    for done, (planned, request_id) in enumerate(requests):
        shown.on_steps(done, len(requests))
        shown.on_text(f"cohort {planned.name}")
        try:
            report.add(_wait_and_import(project, name, planned, request_id, accept_exits, force, shown))
        except CredentialsError:
            raise
        except ProfilemillError as error:
            report.failed[f"{planned.name} ({planned.id})"] = str(error)
    shown.on_steps(len(requests), len(requests))
    return report


def _request_all(project: Project, name: str, todo: Sequence[CohortPlan], report: ImportReport) -> list[tuple[CohortPlan, str]]:
    requests: list[tuple[CohortPlan, str]] = []
    exhausted: QuotaExhausted | None = None
    for planned in todo:
        label = f"{planned.name} ({planned.id})"
        try:
            if exhausted is not None and planned.action == "request":
                raise exhausted
            requests.append((planned, request_cohort(project, name, planned)))
        except CredentialsError:
            raise
        except QuotaExhausted as error:
            exhausted = error
            report.failed[label] = str(error)
        except ProfilemillError as error:
            report.failed[label] = str(error)
    return requests


def _wait_and_import(
    project: Project,
    name: str,
    planned: CohortPlan,
    request_id: str,
    accept_exits: Sequence[str],
    force: bool,
    progress: Progress,
) -> ImportReport:
    job = project.cohorts_job(name)
    client: AmplitudeClient = project.client(job)
    for again in (True, False):
        try:
            _wait(project, name, planned, client, request_id)
            return import_cohort(project, name, planned, request_id, accept_exits=accept_exits, force=force, progress=progress)
        except RequestExpired:
            forget_request(project, name, planned)
            if not again:
                raise
            log.warning("a cohort request expired and is made again: cohort=%s", planned.id)
            request_id = request_cohort(project, name, CohortPlan(**(vars(planned) | {"request_id": None, "action": "request"})))
    raise AssertionError("unreachable")


def _wait(project: Project, name: str, planned: CohortPlan, client: AmplitudeClient, request_id: str) -> None:
    try:
        client.wait_for_cohort(request_id, poll=project.poll)
    except RequestExpired:
        raise
    except DataError:
        forget_request(project, name, planned)  # the job has failed for good: adopting it again could never succeed
        raise


def forget_request(project: Project, name: str, planned: CohortPlan) -> None:
    """Makes the next try ask anew."""
    _request_path(project.lake, project.cohorts_job(name).authorization, planned).unlink(missing_ok=True)


def _accepted_before(lake: Lake, snapshot: Snapshot) -> bool:
    """Whether this very snapshot's exits were accepted when it was loaded."""
    known = current_loads(lake).get(str(snapshot.load))
    return known is not None and bool(_details(known).get("exits_accepted"))


def _before(lake: Lake, job: CohortsJob, snapshot: Snapshot) -> Before | None:
    """What the exits of a snapshot are derived from; None where the job writes none, or nothing is there before it."""
    if not job.exits:
        return None
    loads = _cohort_loads(lake, snapshot.scope)
    own = [
        load
        for load in loads
        if _details(load)["cohort_id"] == snapshot.cohort_id and _details(load)["last_computed"] < snapshot.last_computed
    ]
    if not own:
        return None
    previous = max(own, key=lambda load: int(_details(load)["last_computed"]))
    folder = attempt_folder(lake.landing, previous)
    return Before(members_in(folder), str(_details(previous)["cohort_name"]), _holders(lake, loads, snapshot.cohort_id))


def _holders(lake: Lake, loads: Sequence[Load], cohort_id: str) -> Callable[[str, str], bool]:
    """Tells whether another cohort that has a name now holds a member. Files are read when a name is shared only."""
    others = _newest_of_others(loads, cohort_id)
    sets: dict[str, frozenset[str]] = {}

    def holds(name: str, member: str) -> bool:
        for load in others:
            if _details(load)["cohort_name"] == name:
                if load.load not in sets:
                    sets[load.load] = frozenset(one for one, _ in members_in(attempt_folder(lake.landing, load)))
                if member in sets[load.load]:
                    return True
        return False

    return holds


def _successor(project: Project, job: CohortsJob, snapshot: Snapshot, landed: Landed) -> list[Landed]:
    """The snapshot after one that arrived late, with its exits derived anew."""
    if not job.exits:
        return []
    loads = _cohort_loads(project.lake, snapshot.scope)
    later = [
        load
        for load in loads
        if _details(load)["cohort_id"] == snapshot.cohort_id and _details(load)["last_computed"] > snapshot.last_computed
    ]
    if not later:
        return []
    following = read_manifest(attempt_folder(project.lake.landing, min(later, key=lambda load: int(_details(load)["last_computed"]))))
    before = Before(members_in(landed.folder), snapshot.cohort_name, _holders(project.lake, loads, snapshot.cohort_id))
    with arriving(project.lake.landing, f"again-{following.attempt}") as folder:
        copied = copy_members(following, folder)
        details = {"exits_accepted": following.details.get("exits_accepted", False)}
        return [land_snapshot(project.lake.landing, snapshot_of(following), copied, before, details)]


def _newest_of_others(loads: Sequence[Load], cohort_id: str) -> list[Load]:
    newest: dict[str, Load] = {}
    for load in loads:
        other = str(_details(load)["cohort_id"])
        if other != cohort_id and (other not in newest or load.time > newest[other].time):
            newest[other] = load
    return list(newest.values())


def _cohort_loads(lake: Lake, scope: str) -> list[Load]:
    return [load for load in current_loads(lake).values() if load.stream == STREAM and load.scope == scope]


def _details(load: Load) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(load.details)
    return found


def _request_path(lake: Lake, scope: str, planned: CohortPlan) -> Path:
    return lake.state / "requests" / slug(scope) / f"{slug(planned.id)}@{planned.last_computed}.json"


def _known_requests(lake: Lake, scope: str, now: datetime) -> dict[tuple[str, int], str]:
    folder = lake.state / "requests" / slug(scope)
    found: dict[tuple[str, int], str] = {}
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        if now - datetime.fromisoformat(content["requested_at"]) < _ADOPT_WITHIN:
            found[(content["cohort"], content["last_computed"])] = content["request_id"]
    return found
