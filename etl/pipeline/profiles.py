"""From committed loads to profiles to destinations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from filelock import FileLock

from etl.destinations.beside import Beside
from etl.destinations.parquet import load_parquet
from etl.destinations.sql import load_sql
from etl.jobs import ParquetDestination, resolve_variables
from etl.landing.manifest import slug
from etl.pipeline.project import Project
from etl.profiles.build import build_profiles
from etl.profiles.memberships import update_memberships
from etl.reports import BuildReport, LoadReport


def build(project: Project, *, full: bool = False, on_step: Callable[[str], None] = lambda step: None) -> BuildReport:
    """Brings the lake's profiles and cohort memberships up to its loads."""
    jobs = project.jobs
    report = build_profiles(project.lake, full=full, max_identifiers=jobs.max_identifiers, dedupe_days=jobs.dedupe_days, on_step=on_step)
    update_memberships(project.lake, full=full)
    return report


def load_destination(project: Project, name: str, *, erasing: bool = False) -> LoadReport:
    """Brings one destination up to the lake's profiles. One at a time: a slower run must neither remove the folder that
    a faster one is about to publish nor put older profiles over newer ones. `erasing` reaches tables and folders too that
    were switched off."""
    project.lake.ensure_writable()
    with loading(project, name):
        return _load(project, name, erasing)


def loading(project: Project, name: str) -> FileLock:
    """Held while a destination is loaded."""
    return FileLock(project.lake.root / f".destination-{slug(name)}.lock")


def _load(project: Project, name: str, erasing: bool) -> LoadReport:
    destination = project.jobs.profile_destinations[name]
    beside = Beside(destination.memberships, erasing)
    if isinstance(destination, ParquetDestination):
        return load_parquet(project.lake, name, destination.path, destination.events, beside)
    url = resolve_variables(destination.url.get_secret_value(), f"destinations.{name}.url")
    return load_sql(project.lake, name, url, destination.table, destination.mode, destination.events, beside)


def destinations_of(project: Project, jobs: Iterable[str]) -> list[str]:
    """The destinations that the jobs refresh, each once."""
    return list(dict.fromkeys(name for job in jobs for name in project.job(job).destinations))
