"""Forgetting people: out of landing, tables, destinations and old versions, and kept out from then on.

The keyed hashes of their identifiers are stored first; everything after that removes what matches a stored hash, so a run that
was cut off is finished by the next one, whoever it names, and no identifier is ever written down.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock

from etl.destinations.erase import erase_old
from etl.engines.local import rows
from etl.engines.sql import identifier, quote
from etl.errors import ConfigurationError, ProfilemillError
from etl.lake.attempts import attempt_of, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING, Load, all_loads, in_force, rewrite_loads
from etl.lake.swap import BESIDE, swap_in
from etl.lake.tables import Table, commit, files_of, new_token, relation, schema_of, transaction_of, vacuum, write_file
from etl.landing.manifest import MANIFEST, attempts_in, read_manifest
from etl.landing.scrub import without_lines
from etl.landing.store import drop_attempts
from etl.mapping import Mapping, load_mapping
from etl.mapping.model import GUARD_VALUES
from etl.pipeline.counting import fields_from, fields_text
from etl.pipeline.forget_forwarded import NAMES, Forwarded, clean_forwarded
from etl.pipeline.forget_loads import Cleaning, Removed, clean_loads, rows_of_people
from etl.pipeline.ingest import attempt_folder
from etl.pipeline.profiles import build, load_destination, loading
from etl.pipeline.project import Project
from etl.pipeline.suppression import Lines, find_lines
from etl.pipeline.upkeep import job_of
from etl.profiles.fields import namespaces, stream_fields
from etl.profiles.fold import fold_profiles
from etl.profiles.memberships import updating
from etl.profiles.privacy import (
    Identifier,
    Suppression,
    start_suppression,
    store_suppression,
    suppressed_sql,
)
from etl.profiles.resolve import profile_id, profile_id_of
from etl.profiles.stored import current_profiles
from etl.reports import LoadReport

# Profile ids are suppressed beside identifiers: the table `changes` knows people by them.
_PROFILE = "profile_id"
_AT_ONCE = 100


@dataclass
class Forgotten:
    """What was removed where; with `dry_run`, what would be. It holds counts and no identifier.

    `identifiers` counts those newly suppressed, by name. `mentions` are records of other people that name one of them; they stay.
    `failed` are destinations that could not be brought up to date, with the reason: until that is done they hold the person.
    `forwarded` tells of inboxes and of files that were sent on.
    """

    dry_run: bool
    people: int = 0
    identifiers: dict[str, int] = field(default_factory=dict)
    loads: Removed = field(default_factory=Removed)
    conflicts: int = 0
    changes: int = 0
    attempts: int = 0
    files: int = 0
    mentions: int = 0
    profiles_changed: int = 0
    destinations: list[LoadReport] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    forwarded: Forwarded = field(default_factory=Forwarded)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def forget(
    project: Project, keys: Sequence[Identifier], *, dry_run: bool = False, on_step: Callable[[str], None] = lambda step: None
) -> Forgotten:
    """Removes the people that have one of the identifiers, and everybody who was forgotten before and has come back.

    Identifiers that no profile has are suppressed by themselves. Raises ConfigurationError for a name that is no identifier
    field and for a value that identifies nobody. An import or build that is under way should end first; what it brings in
    is removed by the next call.
    """
    lake = project.lake
    lake.ensure_folder()
    if not dry_run:
        lake.ensure_writable()
    _check(project, keys)
    report = Forgotten(dry_run)
    if not lake.root.is_dir():
        raise ConfigurationError("there is no lake yet", where={"lake": lake.root}, next_step="check `lake:` in jobs.yaml")
    with FileLock(lake.root / ".forget.lock"), FileLock(lake.root / ".rebuild.lock"):
        if not dry_run:
            # Whoever held the lock may have been killed while it moved its tables in.
            swap_in(lake.root)
            on_step("building profiles")
            build(project)  # links of what is imported and not built yet tell who the people are
        before = start_suppression(lake)
        on_step("looking up identifiers")
        people, ids = _people(lake, [one for key in keys for one in project.identifiers_of(*key)])
        # Every identifier may have given the profile its id once: `changes` has those ids too.
        ever = ids | {profile_id_of(*one) for one in people}
        suppression = before.with_([*people, *((_PROFILE, one) for one in ever)], project.identifier_hashing())
        new = [one for one in sorted(people) if before.hash_of(one) not in before.hashes]
        report.people, report.identifiers = len(ids), dict(Counter(namespace for namespace, _ in new))
        if not dry_run:
            # An import that is about to commit what it mapped before either does so now, and is cleaned below, or maps again.
            with lake.writing():
                store_suppression(lake, suppression)
            shutil.rmtree(lake.root / BESIDE, ignore_errors=True)
        _clean_all(project, suppression, people, report, on_step)
        report.forwarded = clean_forwarded(project, suppression, dry_run=dry_run, on_step=on_step)
        if dry_run:
            return report
        on_step("building profiles")
        built = build(project)
        report.profiles_changed = built.inserted + built.updated + built.merged_away
        _load_destinations(project, report, on_step)
        on_step("deleting old versions")
        _sweep(project, suppression, report)
    return report


def _check(project: Project, keys: Sequence[Identifier]) -> None:
    known = [*namespaces(list(stream_fields(project.lake).values())), *(NAMES if project.jobs.forwardings else ()), _PROFILE]
    for name, value in keys:
        if name not in known:
            raise ConfigurationError(f"{name!r} is not an identifier", next_step=f"use {', '.join(known)}")
        if name != _PROFILE and value.strip().lower() in GUARD_VALUES:
            raise ConfigurationError(f"this value of {name} identifies nobody", next_step="name an identifier of one person")


def _people(lake: Lake, keys: Sequence[Identifier]) -> tuple[set[Identifier], set[str]]:
    """Every identifier of the people, the given ones included, and the ids of their profiles, those in quarantine too."""
    wanted = {key for key in keys if key[0] != _PROFILE}
    found, ids = set(wanted), set[str]()
    source = current_profiles(lake)
    if source is None:
        return found, ids
    # Values are parameters: no error text may ever quote one.
    conditions, values = [], list[str]()
    for name, value in keys:
        hashed = profile_id("i.namespace", "i.value")
        conditions.append(f"{hashed} = ?" if name == _PROFILE else "(i.namespace = ? AND i.value = ?)")
        values += [value] if name == _PROFILE else [name, value]
    if not conditions:
        return found, ids
    with lake.workspace() as (connection, _):
        held = f"SELECT profile_id, unnest(_identifiers) AS i FROM {source}"
        chosen = f"SELECT profile_id FROM ({held}) WHERE {' OR '.join(conditions)}"
        query = f"SELECT profile_id, i.namespace AS namespace, i.value AS value FROM ({held}) WHERE profile_id IN ({chosen})"
        for row in rows(connection, query, values):
            found.add((row["namespace"], row["value"]))
            ids.add(row["profile_id"])
    return found, ids


def _clean_all(
    project: Project, suppression: Suppression, people: Iterable[Identifier], report: Forgotten, on_step: Callable[[str], None]
) -> None:
    """Looks at every load in force, and at those that come in meanwhile, until none is left that was not looked at."""
    lake, looked = project.lake, set[str]()
    while waiting := [load for load in in_force(all_loads(lake)).values() if load.attempt not in looked]:
        looked |= {load.attempt for load in waiting}
        done = 0
        by_source = sorted(waiting, key=lambda load: (load.stream, load.scope, load.time))
        for _, group in groupby(by_source, key=lambda load: (load.stream, load.scope)):
            of_source = list(group)
            cleaning = _cleaning(project, suppression, of_source[0])
            for start in range(0, len(of_source), _AT_ONCE):
                on_step(f"reading loads: {done} of {len(waiting)}")
                chosen = of_source[start : start + _AT_ONCE]
                looked |= _clean_some(cleaning, chosen, people, report)
                done += len(chosen)


def _clean_some(cleaning: Cleaning, loads: Sequence[Load], people: Iterable[Identifier], report: Forgotten) -> set[str]:
    """Cleans those of the loads that hold something, unless it is a dry run; the attempts that it made."""
    lake = cleaning.lake
    folders = {load.load: attempt_folder(lake.landing, load) for load in loads}
    landed = [read_manifest(folders[load.load]) for load in loads if (folders[load.load] / MANIFEST).is_file()]
    in_files = find_lines(lake, landed, cleaning.mapping, cleaning.suppression, people)
    by_attempt = {one.attempt: lines for one, lines in zip(landed, in_files, strict=True)}
    lines = [by_attempt.get(load.attempt, Lines()) for load in loads]
    removed = rows_of_people(cleaning, loads, lines)
    report.mentions += sum(one.mentions for one in lines)
    affected = [one for one in zip(loads, lines, removed, strict=True) if one[2].anything]
    if not report.dry_run and affected:
        total, made = clean_loads(cleaning, affected)
        report.loads.add(total)
        return made
    for _, _, one in affected:
        report.loads.add(replace(one, loads=1))
    return set()


def _cleaning(project: Project, suppression: Suppression, load: Load) -> Cleaning:
    mapping = _mapping_of(project, load)
    fields = stream_fields(project.lake).get(load.stream)
    return Cleaning(project.lake, suppression, mapping, fields.by if fields else mapping.by)


def _mapping_of(project: Project, load: Load) -> Mapping:
    name = job_of(project, load)
    if name is not None:
        return project.mapping(project.jobs.imports[name])
    return project.hashing(load_mapping(load.stream, project.mapping_folders()))


def _load_destinations(project: Project, report: Forgotten, on_step: Callable[[str], None]) -> None:
    for name, destination in project.jobs.profile_destinations.items():
        on_step(f"loading {name}")
        try:
            report.destinations.append(load_destination(project, name, erasing=True))
            erase_old(name, destination, stream_fields(project.lake))
        except ProfilemillError as error:
            report.failed[name] = str(error)


def _sweep(project: Project, suppression: Suppression, report: Forgotten) -> None:
    """Removes what no reader sees: superseded and dead attempts, links of the people, old versions of every table."""
    lake = project.lake
    with contextlib.ExitStack() as held:
        # Nobody else reads or writes now: old versions can go at once, and an attempt that does not count never will.
        for lock in (
            *(loading(project, name) for name in project.jobs.profile_destinations),
            updating(lake),
            lake.building(),
            lake.writing(),
        ):
            held.enter_context(lock)
        committed = all_loads(lake, forwarded=True)
        counting = {load.attempt for load in in_force(committed).values()}
        # What the next build takes out again, should somebody have replaced loads since the last one.
        merged = {load.attempt for load in in_force(committed, transaction_of(lake.profiles, "loads") or 0).values()}
        tables = [(lake.rejects, counting)]
        for stream in stream_fields(lake):
            tables += [(lake.stream(stream), counting), (lake.fragments(stream), counting | merged)]
        for table, needed in tables:
            report.attempts += remove_attempts(table, {attempt_of(file) for file in files_of(table)} - needed)
        _sweep_landing(project, suppression, counting, {load.attempt for load in committed})
        either = " OR ".join(suppressed_sql(f"{side}_namespace", f"{side}_value") for side in ("left", "right"))
        report.conflicts = _drop_rows(lake, lake.conflicts, suppression, either)
        if not report.failed:  # a destination that could not be loaded learns from `changes` whom to delete
            # Whole builds: a destination that was away then finds a gap and loads everything, deletions with it.
            condition = suppressed_sql(quote(_PROFILE), "profile_id")
            report.changes = _drop_rows(lake, lake.changes, suppression, condition, whole_files=True)
        rewrite_loads(lake, lambda load: _without_samples(load, suppression))
        fold_profiles(lake)  # rows that newer ones stand for
        others = [lake.loads, lake.profiles, lake.identifiers, lake.changes, lake.conflicts, lake.repeated, lake.cohort_memberships]
        report.files = sum(vacuum(table, 0) for table in [*others, *(one for one, _ in tables)])


def _sweep_landing(project: Project, suppression: Suppression, counting: set[str], committed: set[str]) -> None:
    lake = project.lake
    for folder in attempts_in(lake.landing):
        attempt = folder.name
        if folder.is_relative_to(lake.landing / FORWARDING):
            continue
        if attempt in committed - counting:
            drop_attempts(lake.landing, [folder])
        elif attempt not in counting:
            _scrub_in_place(project, suppression, folder)


def _scrub_in_place(project: Project, suppression: Suppression, folder: Path) -> None:
    """An attempt of which the lake does not know whether a run is about to load it."""
    landed = read_manifest(folder)
    job = next(
        (job for job in project.jobs.imports.values() if (job.stream, job.authorization) == (landed.load.stream, landed.load.scope)), None
    )
    mapping = project.mapping(job) if job else project.hashing(load_mapping(landed.load.stream, project.mapping_folders()))
    without_lines(landed, find_lines(project.lake, [landed], mapping, suppression)[0].own)


def _drop_rows(lake: Lake, table: Table, suppression: Suppression, condition: str, *, whole_files: bool = False) -> int:
    """Removes rows from a table's files, each file by itself, or whole files that hold one; how many such rows there were."""
    removed = 0
    for file in files_of(table):
        source = relation(table, [file.path])
        with lake.workspace() as (connection, _):
            suppression.prepare(connection)
            partition = ", ".join(identifier(name) for name in table.partition_by)
            columns = f"* EXCLUDE ({partition})" if partition else "*"
            gone = rows(connection, f"SELECT count(*) AS n FROM {source} WHERE coalesce({condition}, FALSE)")[0]["n"]
            if gone:
                removed += gone
                query = f"SELECT {columns} FROM {source} WHERE NOT coalesce({condition}, FALSE)"
                kept = None if whole_files else write_file(connection, query, table, file.partition, new_token())
                commit(table, schema_of(connection, query, table), add=[kept] if kept else [], remove=[file.path])
    return removed


def _without_samples(load: Load, suppression: Suppression) -> Load:
    """The row without samples of field values that hold a suppressed identifier."""
    if '"samples"' not in load.misfits:
        return load
    counts = fields_from(load.misfits)
    for count in counts.values():
        count.samples = [sample for sample in count.samples if not suppression.names(sample)]
    text = fields_text(counts)
    return load if json.loads(text) == json.loads(load.misfits) else Load(**(vars(load) | {"misfits": text}))
