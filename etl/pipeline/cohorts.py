"""A cohort job, step by step: plan, request, wait, download and load; each step restartable by itself.

A request costs quota, so its id is stored in the lake before anything waits for it, and adopted by whoever comes next.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from etl.clients.amplitude import AmplitudeClient, Cohort
from etl.errors import CredentialsError, DataError, ProfilemillError, QuotaExhausted, RequestExpired, SnapshotRefused
from etl.jobs import CohortsJob
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.landing.manifest import Landed, read_manifest, slug, write_json
from etl.landing.snapshot import (
    ADDS_ONLY,
    MEMBERS,
    STREAM,
    Before,
    Snapshot,
    check_exits,
    checked_members,
    downloaded,
    land_snapshot,
    members_in,
    snapshot_of,
)
from etl.landing.store import arriving
from etl.pipeline.exits import Known, bases, deriving, details_of, following, known_snapshots, new_download, settle
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.project import Progress, Project
from etl.pipeline.suppression import scrubber
from etl.reports import ImportReport
from etl.sources.amplitude_cohorts import CohortPlan, plan, select

log = logging.getLogger(__name__)

# Amplitude keeps a request's file for seven days (amplitude-api.md 2.1); one day less leaves time to use it.
_ADOPT_WITHIN = timedelta(days=6)


def plan_cohorts(project: Project, name: str, wanted: Iterable[str] = (), *, force: bool = False) -> list[CohortPlan]:
    """What a run does about each selected cohort, and why. One request to Amplitude; writes nothing.

    `wanted` (ids or names) overrides the job's own selection.
    """
    return plan_listed(project, name, project.client(project.cohorts_job(name)).list_cohorts(), wanted, force=force)


def plan_listed(
    project: Project, name: str, listed: Sequence[Cohort], wanted: Iterable[str] = (), *, force: bool = False
) -> list[CohortPlan]:
    """The same for a list of cohorts that is there already."""
    job = project.cohorts_job(name)
    chosen = select(listed, list(wanted) or job.cohorts)
    loaded: dict[str, int] = {}
    for load in _cohort_loads(project.lake, job.authorization):
        details = details_of(load)
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
            file = project.client(job).download_cohort(request_id, folder / MEMBERS, on_bytes=shown.on_bytes).path
            checked_members(snapshot, file)
            scrubber(project.lake, mapping)(downloaded(snapshot, folder))
        except (RequestExpired, SnapshotRefused):
            # Whoever tries again has to ask anew: this request's file stays as it is.
            forget_request(project, name, planned)
            raise
        report = ImportReport(name, downloaded_bytes=file.stat().st_size)
        # Of two imports at once the second has to see what the first one loaded.
        with deriving(project.lake, job.authorization):
            landed = _land(project, job, snapshot, folder, accepted)
            report.add(ingest(Ingest(project.lake, mapping, name, project.clock, force=True, remap=force), [landed]))
            if str(snapshot.load) not in report.unchanged:
                report.exits = landed.details["exits"] or 0
            report.add(settle(project, name))
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
    # What a killed run left unsettled; nothing in the usual case.
    project.lake.ensure_writable()
    with deriving(project.lake, job.authorization):
        report.add(settle(project, name))
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
    return known is not None and bool(details_of(known).get("exits_accepted"))


def _land(project: Project, job: CohortsJob, snapshot: Snapshot, folder: Path, accepted: bool) -> Landed:
    """The attempt of a downloaded snapshot. Raises SnapshotRefused when it, or the one after it, says that too many left."""
    lake, file = project.lake, folder / MEMBERS
    download = new_download()
    details = {"exits_accepted": accepted, "download": download, "basis": ADDS_ONLY}
    if not job.exits:
        return land_snapshot(lake.landing, snapshot, file, None, details)
    known = known_snapshots(lake, job.authorization)
    one = Known(str(snapshot.load), snapshot.cohort_id, snapshot.cohort_name, snapshot.last_computed, download, "", folder)
    known[one.load] = one
    expected = bases(known.values())
    basis = expected[one.load]
    if not basis.on_disk:
        log.warning("raw files of the snapshot before are gone, so who left cannot be told: load=%s", one.load)
        return land_snapshot(lake.landing, snapshot, file, None, details)
    before = basis.before()
    members = members_in(folder)
    if not accepted:
        if before is not None:
            check_exits(snapshot, frozenset(member for member, _ in members), before, job.max_exit_share)
        _check_following(job, following(one, known), Before(members, snapshot.cohort_name))
    return land_snapshot(lake.landing, snapshot, file, before, details | {"basis": basis.text})


def _check_following(job: CohortsJob, later: Known | None, before: Before) -> None:
    """The same guard for the snapshot after one that arrives late: it is the later one's leavers that a bad file makes."""
    if later is None or later.basis == ADDS_ONLY or not later.on_disk:
        return
    landed = read_manifest(later.folder)
    if not landed.details.get("exits_accepted"):
        members = frozenset(member for member, _ in members_in(later.folder))
        check_exits(snapshot_of(landed), members, before, job.max_exit_share)


def _cohort_loads(lake: Lake, scope: str) -> list[Load]:
    return [load for load in current_loads(lake).values() if load.stream == STREAM and load.scope == scope]


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
