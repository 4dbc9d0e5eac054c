"""An event job, step by step: plan the requests, import each, each step restartable by itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from etl.clients.amplitude import AmplitudeClient
from etl.errors import DamagedDownload, ProfilemillError
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.landing.archive import STREAM, empty_hours, hour_of, land_archive, load_id
from etl.landing.manifest import Landed, slug, write_json
from etl.landing.store import arriving, drop_attempts
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.project import Progress, Project
from etl.pipeline.suppression import scrubber
from etl.records import hour_text
from etl.reports import ImportReport
from etl.sources.amplitude_events import EMPTY_AFTER, Reach, export, hours_of_window, reach_of, wanted_hours
from etl.windows import Window, requests_for

log = logging.getLogger(__name__)

_DOWNLOADS = 3


def plan_events(project: Project, name: str, window: Window | None = None, *, force: bool = False) -> list[Window]:
    """The export requests that a run makes, oldest first. Asks nothing of Amplitude and writes nothing."""
    job = project.events_job(name)
    now = project.clock.now()
    committed = committed_hours(project.lake, job.authorization)
    if window is not None:
        wanted, too_recent = hours_of_window(now, window, committed, force=force)
        if too_recent:
            log.warning(
                "hours cannot be exported yet: job=%s first=%s count=%d",
                name,
                hour_text(too_recent[0]),
                len(too_recent),
            )
    else:
        reach = read_reach(project.lake, job.authorization) or reach_of(now, job.backfill_days)
        wanted = wanted_hours(now, reach, committed)
    return requests_for(wanted, job.hours_per_request)


def start_events(project: Project, name: str) -> Reach:
    """Fixes the reach of the job, once: the first run without a window calls it before it imports anything."""
    job = project.events_job(name)
    known = read_reach(project.lake, job.authorization)
    if known is not None:
        return known
    project.lake.ensure_writable()
    reach = reach_of(project.clock.now(), job.backfill_days)
    path = _reach_path(project.lake, job.authorization)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"anchor": hour_text(reach.anchor), "first_hour": hour_text(reach.first_hour)})
    return reach


def import_window(project: Project, name: str, window: Window, *, force: bool = False, progress: Progress | None = None) -> ImportReport:
    """Downloads and loads the hours of one request.

    Hours whose members stay damaged, or that are too large to export, are left open and named in `failed`; the others are loaded.
    """
    job = project.events_job(name)
    project.lake.ensure_writable()
    mapping = project.mapping(job)
    client = project.client(job)
    landing = project.lake.landing
    shown = progress or Progress()
    report = ImportReport(name)
    landed, broken = _download(client, project, job.authorization, window, report, shown, scrubber(project.lake, mapping))
    present = {attempt.time for attempt in landed} | set(broken)
    now = project.clock.now()
    for hour in window.hours:
        if hour in present:
            continue
        if now >= hour + EMPTY_AFTER:
            landed += empty_hours(landing, job.authorization, [hour])
        else:
            report.open.append(str(load_id(job.authorization, hour)))
    landed.sort(key=lambda attempt: attempt.time)
    settings = Ingest(project.lake, mapping, name, project.clock, force=force)
    report.add(ingest(settings, landed))
    report.failed |= {str(load_id(job.authorization, hour)): str(error) for hour, error in broken.items()}
    return report


def run_events(
    project: Project, name: str, window: Window | None = None, *, force: bool = False, progress: Progress | None = None
) -> ImportReport:
    """The whole job: every missing hour, request by request."""
    shown = progress or Progress()
    project.mapping(project.events_job(name))
    if window is None:
        start_events(project, name)
    requests = plan_events(project, name, window, force=force)
    report = ImportReport(name)
    for done, request in enumerate(requests):
        shown.on_steps(done, len(requests))
        shown.on_text(f"hours {request}")
        report.add(import_window(project, name, request, force=force, progress=shown))
    shown.on_steps(len(requests), len(requests))
    return report


def committed_hours(lake: Lake, scope: str) -> set[datetime]:
    """The upload hours of a project that are loaded, empty ones included."""
    return {hour_of(load.unit) for load in current_loads(lake).values() if load.stream == STREAM and load.scope == scope}


def read_reach(lake: Lake, scope: str) -> Reach | None:
    """What the first run fixed; None before it."""
    try:
        content = json.loads(_reach_path(lake, scope).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Reach(hour_of(content["anchor"]), hour_of(content["first_hour"]))


def _reach_path(lake: Lake, scope: str) -> Path:
    return lake.state / "reach" / f"{slug(scope)}.json"


def _download(
    client: AmplitudeClient,
    project: Project,
    scope: str,
    window: Window,
    report: ImportReport,
    progress: Progress,
    scrub: Callable[[Landed], Landed],
) -> tuple[list[Landed], dict[datetime, ProfilemillError]]:
    """Attempts for the hours that have members, and why others could not be had. A damaged member makes the whole
    request be repeated, three times."""
    waits = [2.0**n for n in range(_DOWNLOADS - 1)]
    while True:
        landed: list[Landed] = []
        broken: dict[datetime, DamagedDownload] = {}
        refused: dict[datetime, ProfilemillError] = {}
        with arriving(project.lake.landing, f"export-{window.start:%Y%m%dT%H}") as folder:
            for one in export(client, window, folder, progress.on_bytes):
                if one.refused is not None:
                    refused[one.window.start] = one.refused
                if one.archive is None:
                    continue
                report.downloaded_bytes += one.archive.stat().st_size
                found, damaged = land_archive(project.lake.landing, one.archive, scope, one.window, scrub)
                landed += found
                broken |= damaged
                one.archive.unlink()
        if len(refused) == len(window.hours) > 1:
            # Not one hour could be had: it is the request that is at fault, and asking on would only cost calls.
            raise next(iter(refused.values()))
        if not broken or not waits:
            return landed, refused | broken
        drop_attempts(project.lake.landing, [attempt.folder for attempt in landed])
        log.warning("an export had damaged members and is asked for again: window=%s hours=%d", window, len(broken))
        project.clock.sleep(waits.pop(0))
