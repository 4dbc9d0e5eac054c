"""Rebuilding and compacting a lake."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from etl.errors import ConfigurationError, DamagedDownload, DataError
from etl.faults import nearest
from etl.lake.attempts import attempt_of, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING, Load, all_loads, compact_loads, in_force
from etl.lake.swap import BESIDE, mark_ready, swap_in
from etl.lake.tables import files_of, transaction_of, vacuum
from etl.landing.manifest import MANIFEST, attempts_in, read_manifest
from etl.landing.store import drop_attempts
from etl.mapping import Mapping
from etl.pipeline.ingest import Ingest, attempt_folder, ingest
from etl.pipeline.kept_loads import keep_loads
from etl.pipeline.project import Project
from etl.profiles.build import build_profiles
from etl.profiles.fields import of_mapping, remember, stream_fields
from etl.profiles.fold import fold_profiles
from etl.profiles.memberships import update_memberships, updating
from etl.profiles.privacy import copy_suppression
from etl.reports import BuildReport, ImportReport

# Longer than any run: what a run wrote and has not committed yet must survive a compaction beside it.
UNCOMMITTED_HOURS = 48


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild from landing did; `kept` counts the loads that it took over as they were."""

    imports: list[ImportReport]
    build: BuildReport
    kept: int = 0


def rebuild_from_landing(project: Project, on_step: Callable[[str], None] = lambda step: None, *, mapping: str | None = None) -> Rebuilt:
    """Maps every landed file again with today's mappings, builds profiles from that, and puts both in place together.

    With `mapping`, the name of a mapping of some job, only the loads of the jobs that it maps are mapped again. All other
    loads keep the rows and fragments that they have, whatever became of their mappings and raw files since; the profiles
    are built anew from both. Where kept loads are of the same stream, the mapping may only change in ways that their
    fragments can follow. Raises ConfigurationError otherwise, and for a mapping that no job has.

    All tables are made beside the lake's own and swapped in at the end; until then everything reads as before, and
    imports go on: what they load meanwhile is taken in too, mapped or kept.
    """
    chosen = None if mapping is None else _chosen(project, mapping)
    lake = project.lake
    lake.ensure_writable()
    with FileLock(lake.root / ".rebuild.lock"):
        # Whoever held the lock may have been killed while it moved its tables in.
        swap_in(lake.root)
        shutil.rmtree(lake.root / BESIDE, ignore_errors=True)
        beside = Lake(lake.root / BESIDE)
        beside.ensure_writable()
        copy_suppression(lake, beside)
        reports: dict[str, ImportReport] = {}
        mapped: dict[str, str] = {}
        kept: set[str] = set()
        while True:
            if mapping is not None and chosen is not None:
                kept |= _keep(project, beside, mapping, chosen, mapped, on_step)
            else:
                _keep_forwarded(lake, beside, mapped)
            _map_again(project, beside, mapping, mapped, reports, on_step)
            on_step("building profiles")
            report = build_profiles(beside, max_identifiers=project.jobs.max_identifiers, dedupe_days=project.jobs.dedupe_days)
            update_memberships(beside)
            # Whoever imports or builds meanwhile goes on; only here nobody may, and nothing may be left out.
            with updating(lake), lake.building(), lake.writing():
                if _in_force(lake) == mapped:
                    mark_ready(lake.root)
                    swap_in(lake.root)
                    return Rebuilt(list(reports.values()), report, len(kept))


def _chosen(project: Project, name: str) -> Mapping:
    """The mapping by that name, which some job has to have. Raises ConfigurationError, with the nearest name."""
    jobs = {job.mapping_name: job for job in project.jobs.imports.values()}
    if name not in jobs:
        raise ConfigurationError(
            f"no job is mapped by {name!r}",
            where={"file": project.path.name},
            next_step=nearest(name, jobs) or f"mappings of the jobs: {', '.join(sorted(jobs)) or 'none'}",
        )
    return project.mapping(jobs[name])


def _keep(project: Project, beside: Lake, name: str, mapping: Mapping, mapped: dict[str, str], on_step: Callable[[str], None]) -> set[str]:
    """Takes over the loads of other mappings that `mapped` does not have yet, and adds them to it; their names."""
    new = keep_loads(project.lake, beside, mapping.stream, lambda load: _mapping_of(project, load) != name)
    if new:
        on_step(f"taking over {len(new)} loads of other mappings")
    try:
        remember(beside, of_mapping(mapping))
    except ConfigurationError as error:
        error.next_step = "run the whole `profilemill rebuild --from landing`, or undo the change"
        raise
    mapped |= {load.load: load.attempt for load in new}
    return {load.load for load in new}


def _keep_forwarded(lake: Lake, beside: Lake, mapped: dict[str, str]) -> None:
    """Takes over the files that were forwarded: what has been sent is not to be mapped again."""
    new = keep_loads(lake, beside, None, lambda load: load.stream == FORWARDING)
    mapped |= {load.load: load.attempt for load in new}


def _map_again(
    project: Project,
    beside: Lake,
    mapping: str | None,
    mapped: dict[str, str],
    reports: dict[str, ImportReport],
    on_step: Callable[[str], None],
) -> None:
    """Maps what is in force and not in `mapped` (attempts by load) into the lake beside; only what `mapping` maps, if given."""
    lake = project.lake
    waiting = [load for load in in_force(all_loads(lake)).values() if mapped.get(load.load) != load.attempt]
    if mapping is not None:
        waiting = [load for load in waiting if _mapping_of(project, load) == mapping]
    for name, of_job, own in _by_job(project, waiting):
        on_step(f"mapping {len(own)} loads of {name}")
        try:
            landed = [read_manifest(attempt_folder(lake.landing, load)) for load in own]
            report = ingest(Ingest(beside, of_job, name, project.clock, force=True, remap=True), landed)
        except FileNotFoundError:
            if _in_force(lake).items() >= {load.load: load.attempt for load in own}.items():
                raise _raw_files_gone(own, lake) from None
            continue  # replaced meanwhile; the next round takes its successor
        except DamagedDownload as error:
            raise DataError(
                "a raw file is damaged, so its load cannot be mapped again",
                where={"job": name, **error.where},
                value=error.value,
                next_step="import its hour or cohort again with --force, then rebuild",
            ) from error
        reports.setdefault(name, ImportReport(name)).add(report)
        mapped |= {load.load: load.attempt for load in own}


def _in_force(lake: Lake) -> dict[str, str]:
    return {load.load: load.attempt for load in in_force(all_loads(lake, forwarded=True)).values()}


def _raw_files_gone(loads: list[Load], lake: Lake) -> ConfigurationError:
    gone = [load.load for load in loads if not attempt_folder(lake.landing, load).is_dir()]
    return ConfigurationError(
        "raw files are gone, so these loads cannot be mapped again",
        where={"lake": lake.root},
        value=", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else ""),
        next_step="import them again with --force, then rebuild",
    )


def compact(lake: Lake, on_step: Callable[[str], None] = lambda step: None) -> dict[str, int]:
    """Removes what no reader can see: attempts that do not count, files of old versions, leftovers of killed runs. Folds what
    builds wrote of profiles, so that each has one row."""
    lake.ensure_writable()
    committed = all_loads(lake, forwarded=True)
    now = in_force(committed)
    counting = {load.attempt for load in now.values()}
    # Replaced attempts that a build has merged: the next build needs their fragments to take them out again.
    applied = transaction_of(lake.profiles, "loads") or 0
    merged = {load.attempt for load in in_force(committed, applied).values()}
    on_step("removing attempts that do not count")
    tables = [(lake.rejects, counting)]
    for stream in stream_fields(lake):
        tables += [(lake.stream(stream), counting), (lake.fragments(stream), counting | merged)]
    removed = 0
    for table, needed in tables:
        old = [file for file in files_of(table) if attempt_of(file) not in needed and _is_old(table.path / file.path)]
        removed += remove_attempts(table, [attempt_of(file) for file in old])
    stale = [folder for folder in attempts_in(lake.landing) if folder.name not in counting and _is_old(folder / MANIFEST)]
    drop_attempts(lake.landing, stale)
    on_step("folding profiles")
    with lake.building():
        fold_profiles(lake)
    on_step("rewriting the table of loads")
    with lake.writing():
        compact_loads(lake)
    on_step("deleting files of old versions")
    others = [lake.loads, lake.profiles, lake.identifiers, lake.changes, lake.conflicts, lake.repeated, lake.cohort_memberships]
    deleted = sum(vacuum(table, UNCOMMITTED_HOURS) for table in [*others, *(table for table, _ in tables)])
    return {"attempts": removed + len(stale), "files": deleted}


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > UNCOMMITTED_HOURS * 3600
    except FileNotFoundError:  # somebody was faster
        return False


def _by_job(project: Project, loads: list[Load]) -> list[tuple[str, Mapping, list[Load]]]:
    """The loads of each job, with the job's mapping. Raises ConfigurationError for loads that no job maps."""
    owners = {load.load: job_of(project, load) for load in loads}
    orphans = sorted({f"{load.stream}/{load.scope}" for load in loads if owners[load.load] is None})
    if orphans:
        raise ConfigurationError(
            "the lake holds loads that no job in the jobs file maps",
            where={"file": project.path.name},
            value=", ".join(orphans),
            next_step="keep a job for them (keep_updated: false if it is not to run), then rebuild",
        )
    found = []
    for name, job in project.jobs.imports.items():
        own = sorted((load for load in loads if owners[load.load] == name), key=lambda load: load.time)
        if own:
            found.append((name, project.mapping(job), own))
    return found


def job_of(project: Project, load: Load) -> str | None:
    """The first job that imports what the load holds; None where there is none (any more)."""
    jobs = project.jobs.imports.items()
    return next((name for name, job in jobs if (job.stream, job.authorization) == (load.stream, load.scope)), None)


def _mapping_of(project: Project, load: Load) -> str | None:
    """The name of the mapping that maps the load now."""
    name = job_of(project, load)
    return None if name is None else project.jobs.imports[name].mapping_name
