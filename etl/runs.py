"""What the commands `run`, `status --samples` and `rebuild` do, with progress and reports on the screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etl import screen, screen_forwarding
from etl.engines.local import rows
from etl.errors import ConfigurationError, ProfilemillError
from etl.jobs import EventsJob, ParquetDestination
from etl.jobs_forwarding import ForwardingJob
from etl.lake.tables import files_of
from etl.pipeline.cohorts import plan_cohorts, run_cohorts
from etl.pipeline.events import plan_events, run_events
from etl.pipeline.forwarding import check_forwarding, plan_forwarding, run_forwarding
from etl.pipeline.profiles import build, destinations_of, load_destination
from etl.pipeline.project import Project
from etl.pipeline.upkeep import Rebuilt, rebuild_from_landing
from etl.profiles.fields import namespaces, stream_fields
from etl.profiles.published import KEYS, published_fields, published_query
from etl.reports import ForwardingReport, ImportReport
from etl.windows import Window, parse_hour

_LONGEST_VALUE, _MOST_FIELDS = 150, 15


@dataclass(frozen=True)
class Options:
    """What a run was asked for beyond its jobs."""

    window: Window | None = None
    cohorts: tuple[str, ...] = ()
    force: bool = False
    accept_exits: tuple[str, ...] = ()


def read_window(start: str | None, end: str | None) -> Window | None:
    """The window of `--from` and `--to`. Raises ConfigurationError when only one is given."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ConfigurationError("--from and --to go together", next_step="give both, as UTC hours; --to is exclusive")
    return Window(parse_hour(start), parse_hour(end))


@dataclass(frozen=True)
class Outcome:
    """What a run did: reports of the jobs that ended, errors of those that broke off."""

    reports: list[ImportReport]
    errors: dict[str, ProfilemillError]
    forwarded: list[ForwardingReport] = field(default_factory=list)

    @property
    def every(self) -> list[ImportReport | ForwardingReport]:
        return [*self.reports, *self.forwarded]


def run(project: Project, names: Sequence[str], options: Options, *, as_json: bool) -> Outcome:
    """Runs every job; where some import, it then builds profiles and loads the destinations of these jobs.

    A job that breaks off is named, and the others go on. Where every job is at fault by its configuration, the first
    error is raised and nothing else is done.
    """
    importing = [name for name in names if name in project.jobs.imports]
    for name in names:
        if name in importing:
            project.mapping(project.job(name))
        else:
            check_forwarding(project, name)
    outcome = Outcome([], {})
    for name in names:
        try:
            _run(project, name, options, outcome, as_json=as_json)
        except ProfilemillError as error:
            outcome.errors[name] = error.at(job=name)
    broken_off = list(outcome.errors.values())
    if broken_off and not outcome.every and all(isinstance(error, ConfigurationError) for error in broken_off):
        for other in broken_off[1:]:
            screen.print_error(str(other))
        raise broken_off[0]
    content: dict[str, Any] = {"imports": [report.as_dict() for report in outcome.reports]}
    if importing:
        content |= _build_and_load(project, importing, outcome, as_json=as_json)
    if len(importing) < len(names):
        content["forwarded"] = [report.as_dict() for report in outcome.forwarded]
    if as_json:
        screen.print_json(content | {"errors": {name: str(broken) for name, broken in outcome.errors.items()}})
    for broken in outcome.errors.values():
        screen.print_error(str(broken))
    return outcome


def _build_and_load(project: Project, names: Sequence[str], outcome: Outcome, *, as_json: bool) -> dict[str, Any]:
    """What follows on imports; for `--json` what it did."""
    with screen.progress("profiles") as steps:
        built = build(project, on_step=steps.on_text)
    loaded = _load(project, destinations_of(project, names)) if outcome.reports or built.changed else []
    if not as_json and (outcome.reports or built.changed):
        screen.show_build(built)
        for one in loaded:
            screen.show_load(one)
    return {"build": asdict(built), "destinations": [asdict(one) for one in loaded]}


def check_options(project: Project, names: Sequence[str], options: Options) -> None:
    """Raises ConfigurationError for an unknown job, and for options that none of the jobs takes."""
    types = {job.stream for name in names if not isinstance(job := project.any_job(name), ForwardingJob)}
    if options.force and not types:
        raise ConfigurationError(
            "--force is for jobs that import: what a destination has acknowledged is not sent again",
            value=", ".join(names),
            next_step="leave it out",
        )
    if "amplitude_cohorts" not in types and (options.cohorts or options.accept_exits):
        raise ConfigurationError(
            "--cohort and --accept-exits are for cohort jobs", value=", ".join(names), next_step="leave them out, or name a cohort job"
        )
    if "amplitude_events" not in types and options.window is not None:
        raise ConfigurationError(
            "--from and --to are for event jobs", value=", ".join(names), next_step="leave them out, or name an event job"
        )


def _run(project: Project, name: str, options: Options, outcome: Outcome, *, as_json: bool) -> None:
    """One job; its report goes into the outcome and on the screen."""
    if name in project.jobs.imports:
        report = _import(project, name, options)
        outcome.reports.append(report)
        if not as_json:
            screen.show_import(report)
        return
    with screen.progress(name) as steps:
        forwarded = run_forwarding(project, name, steps)
    outcome.forwarded.append(forwarded)
    if not as_json:
        screen_forwarding.show(forwarded)


def _import(project: Project, name: str, options: Options) -> ImportReport:
    with screen.progress(name) as steps:
        if isinstance(project.job(name), EventsJob):
            return run_events(project, name, options.window, force=options.force, progress=steps)
        return run_cohorts(project, name, options.cohorts, accept_exits=options.accept_exits, force=options.force, progress=steps)


def rebuild(project: Project, *, from_landing: bool, mapping: str | None = None, as_json: bool) -> None:
    """Computes all profiles anew and loads every destination."""
    with screen.progress("rebuild") as steps:
        if from_landing:
            rebuilt = rebuild_from_landing(project, steps.on_text, mapping=mapping)
        else:
            rebuilt = Rebuilt([], build(project, full=True, on_step=steps.on_text))
    loaded = _load(project, list(project.jobs.profile_destinations))
    if as_json:
        screen.print_json(
            {
                "imports": [report.as_dict() for report in rebuilt.imports],
                "kept": rebuilt.kept,
                "build": asdict(rebuilt.build),
                "destinations": [asdict(one) for one in loaded],
            }
        )
        return
    for report in rebuilt.imports:
        screen.show_import(report)
    if rebuilt.kept:
        loads = (
            "1 load of other mappings kept as it was"
            if rebuilt.kept == 1
            else f"{rebuilt.kept:,} loads of other mappings kept as they were"
        )
        screen.out.print(loads, markup=False)
    screen.show_build(rebuilt.build)
    for one in loaded:
        screen.show_load(one)


def show_plan(project: Project, names: Sequence[str], options: Options, *, as_json: bool) -> None:
    """What a run would ask Amplitude for, and which files it would send."""
    plans: dict[str, Any] = {}
    for name in names:
        job = project.any_job(name)
        if isinstance(job, ForwardingJob):
            check_forwarding(project, name)
            plans[name] = [asdict(one) for one in plan_forwarding(project, name)]
        elif isinstance(job, EventsJob):
            plans[name] = [str(window) for window in plan_events(project, name, options.window, force=options.force)]
        else:
            plans[name] = [one.as_dict() for one in plan_cohorts(project, name, options.cohorts, force=options.force)]
    if as_json:
        screen.print_json(plans)
        return
    for name, planned in plans.items():
        if name in project.jobs.forwardings:
            screen_forwarding.show_plan(name, planned)
            continue
        what = "request" if isinstance(project.job(name), EventsJob) else "cohort"
        screen.out.print(f"{name}: {len(planned)} {what}{'' if len(planned) == 1 else 's'}", markup=False)
        for one in planned:
            line = (
                one if isinstance(one, str) else f"{one['action']:<8} {one['name']} ({one['id']}), {one['size']} members: {one['reason']}"
            )
            screen.out.print(f"  {line}", markup=False)


def show_samples(project: Project, count: int) -> None:
    """Some profiles with much in them, and how to read all of them."""
    lake = project.lake
    if files_of(lake.profiles):
        identifiers = namespaces(list(stream_fields(lake).values()))
        maps = [field.name for field in published_fields(lake) if field.kind.is_map]
        richness = " + ".join(f'coalesce(cardinality("{name}"), 0)' for name in maps) or "0"
        with lake.workspace() as (connection, _):
            found = rows(
                connection,
                f"SELECT * FROM ({published_query(lake)}) ORDER BY {richness} DESC, profile_id LIMIT {count}",
            )
        for number, profile in enumerate(found, start=1):
            screen.out.print(f"\nprofile {number} of {count}", style="bold")
            shown = {name: dict(value) if name in maps and value is not None else value for name, value in profile.items()}
            first = {name: shown[name] for name in [*KEYS, *identifiers, *maps, *shown] if shown[name] is not None}
            screen.show_profile(dict(list(first.items())[:_MOST_FIELDS]), _LONGEST_VALUE)
            if len(first) > _MOST_FIELDS:
                command = f"{_from_here(Path(sys.executable).parent)}/profilemill profiles show profile_id={profile['profile_id']}"
                command += f" --jobs {_from_here(project.path)}"
                screen.out.print(f"  and {len(first) - _MOST_FIELDS} more fields: {command}", markup=False)
    screen.out.print("\nRead all of them:", style="bold")
    for line in _how_to_read(project):
        screen.out.print(f"  {line}", markup=False)


def _how_to_read(project: Project) -> list[str]:
    """Commands that work when pasted, from the folder one is in."""
    python = _from_here(Path(sys.executable))
    lines = []
    for destination in project.jobs.profile_destinations.values():
        if isinstance(destination, ParquetDestination):
            path = _from_here(destination.path)
            lines.append(f"{python} -c \"import pandas; print(pandas.read_parquet('{path}'))\"")
            lines.append(f"{python} -c \"import duckdb; print(duckdb.read_parquet('{path}/*.parquet'))\"")
        elif destination.url.get_secret_value().startswith("sqlite:///"):
            path = _from_here(Path(destination.url.get_secret_value().removeprefix("sqlite:///")))
            query = f"SELECT * FROM {destination.table} LIMIT 5"
            lines.append(f"{python} -c \"import sqlite3; print(*sqlite3.connect('{path}').execute('{query}'), sep='\\n')\"")
    return lines


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _load(project: Project, names: Sequence[str]) -> list[Any]:
    loaded = []
    for name in names:
        with screen.progress(f"destination {name}") as steps:
            steps.on_text("loading")
            loaded.append(load_destination(project, name))
    return loaded
