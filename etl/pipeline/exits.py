"""Who left, settled: the exits of every snapshot follow from the snapshots in force, in whatever order they came.

A snapshot's exits depend on the one before it and, where several cohorts have one name, on what the others held at that
moment. What they were derived from is stored with the load (`basis`), so that a snapshot that arrives late, a kill between
two commits or two imports at once leave nothing behind that the next run does not see and derive anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock

from etl.lake.layout import Lake
from etl.lake.loads import Load, all_loads, in_force
from etl.landing.manifest import Landed, read_manifest, slug
from etl.landing.snapshot import ADDS_ONLY, MEMBERS, STREAM, Before, copy_members, land_snapshot, members_in, snapshot_of
from etl.landing.store import arriving
from etl.pipeline.ingest import Ingest, attempt_folder, ingest
from etl.pipeline.project import Project
from etl.reports import ImportReport

log = logging.getLogger(__name__)

# The basis of a cohort's first snapshot.
FIRST = "first"


@dataclass(frozen=True)
class Known:
    """A snapshot that is in force or about to be. `download` tells its file from any other download; `basis` is what
    its exits were derived from."""

    load: str
    cohort_id: str
    name: str
    last_computed: int
    download: str
    basis: str
    folder: Path

    @property
    def on_disk(self) -> bool:
        return (self.folder / MEMBERS).is_file()


@dataclass(frozen=True)
class Basis:
    """What the exits of a snapshot follow from: the snapshot before it, and those of other cohorts that had that one's
    name when it was computed."""

    previous: Known | None
    sharing: tuple[Known, ...] = ()

    @property
    def text(self) -> str:
        """Changes exactly when the exits may."""
        if self.previous is None:
            return FIRST
        parts = [self.previous.name, *(f"{one.load} {one.download}" for one in (self.previous, *self.sharing))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def on_disk(self) -> bool:
        return all(one.on_disk for one in self.sharing) and (self.previous is None or self.previous.on_disk)

    def before(self) -> Before | None:
        """The same with the members read; None for a first snapshot. Files of other cohorts are read when asked."""
        if self.previous is None:
            return None
        name, sets = self.previous.name, dict[str, frozenset[str]]()

        def holds(wanted: str, member: str) -> bool:
            for other in self.sharing if wanted == name else ():
                if other.load not in sets:
                    sets[other.load] = frozenset(one for one, _ in members_in(other.folder))
                if member in sets[other.load]:
                    return True
            return False

        return Before(members_in(self.previous.folder), name, holds)


def deriving(lake: Lake, scope: str) -> FileLock:
    """Held by whoever derives exits in a project, until they are committed."""
    return FileLock(lake.root / f".cohorts-{slug(scope)}.lock")


def new_download() -> str:
    """A name for a downloaded file."""
    return secrets.token_hex(4)


def known_snapshots(lake: Lake, scope: str, named: Iterable[str] | None = None) -> dict[str, Known]:
    """The snapshots in force of a project, by load id; with `named` only these."""
    loads = (load for load in in_force(all_loads(lake, named=named)).values() if load.stream == STREAM and load.scope == scope)
    return {load.load: _known(lake, load) for load in loads}


def details_of(load: Load) -> dict[str, Any]:
    """What a cohort load remembers of its snapshot."""
    found: dict[str, Any] = json.loads(load.details)
    return found


def bases(known: Iterable[Known]) -> dict[str, Basis]:
    """What the exits of each snapshot follow from, by load id. Of snapshots computed at one moment each sees the others."""
    newest: dict[str, Known] = {}
    named: defaultdict[str, set[str]] = defaultdict(set)
    found: dict[str, Basis] = {}
    for _, group in groupby(sorted(known, key=lambda one: one.last_computed), key=lambda one: one.last_computed):
        at_once = list(group)
        before = {one.cohort_id: newest.get(one.cohort_id) for one in at_once}
        for one in at_once:
            if (old := newest.get(one.cohort_id)) is not None:
                named[old.name].discard(one.cohort_id)
            newest[one.cohort_id] = one
            named[one.name].add(one.cohort_id)
        for one in at_once:
            previous = before[one.cohort_id]
            others = () if previous is None else sorted(named[previous.name] - {one.cohort_id})
            found[one.load] = Basis(previous, tuple(newest[other] for other in others))
    return found


def following(one: Known, known: Mapping[str, Known]) -> Known | None:
    """The snapshot of the same cohort after this one."""
    later = [other for other in known.values() if other.cohort_id == one.cohort_id and other.last_computed > one.last_computed]
    return min(later, key=lambda other: other.last_computed, default=None)


def settle(project: Project, name: str) -> ImportReport:
    """Derives exits anew where what they follow from has changed, and loads these snapshots again.

    Reads nothing but the table `loads` when all is settled. A snapshot whose raw files, or those it depends on, are gone
    stays as it is.
    """
    job = project.cohorts_job(name)
    lake, report = project.lake, ImportReport(name)
    looked_at: set[str] = set()
    # One at a time: a snapshot that is loaded again has its files elsewhere, and later ones are derived from those.
    known = known_snapshots(lake, job.authorization)
    while (found := _next_stale(known, looked_at)) is not None:
        one, basis = found
        looked_at.add(one.load)
        if not one.on_disk or not basis.on_disk:
            log.warning("raw files are gone, so who left cannot be told anew: load=%s", one.load)
            continue
        landed = _again(lake, one, basis)
        report.add(ingest(Ingest(lake, project.mapping(job), name, project.clock, force=True, remap=True), [landed]))
        known |= known_snapshots(lake, job.authorization, [one.load])
    return report


def _next_stale(known: Mapping[str, Known], looked_at: Collection[str]) -> tuple[Known, Basis] | None:
    """The oldest snapshot whose exits follow from something else now, and from what."""
    expected = bases(known.values())
    waiting = [one for one in known.values() if one.load not in looked_at]
    stale = [one for one in waiting if one.basis not in (ADDS_ONLY, expected[one.load].text)]
    found = min(stale, key=lambda one: one.last_computed, default=None)
    return None if found is None else (found, expected[found.load])


def _again(lake: Lake, one: Known, basis: Basis) -> Landed:
    """Another attempt of a snapshot, with its exits derived anew."""
    old = read_manifest(one.folder)
    with arriving(lake.landing, f"again-{old.attempt}") as folder:
        copied = copy_members(old, folder)
        kept = {"exits_accepted": old.details.get("exits_accepted", False), "download": one.download, "basis": basis.text}
        return land_snapshot(lake.landing, snapshot_of(old), copied, basis.before(), kept)


def _known(lake: Lake, load: Load) -> Known:
    details = details_of(load)
    return Known(
        load.load,
        str(details["cohort_id"]),
        str(details["cohort_name"]),
        int(details["last_computed"]),
        str(details.get("download", "")),
        str(details.get("basis", "")),
        attempt_folder(lake.landing, load),
    )
