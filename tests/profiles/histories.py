"""A lake with a history, and beside it the records that count: whatever happened, the two have to agree."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from etl.engines.local import rows
from etl.jobs import load_jobs
from etl.lake.layers import DEFAULT_SIZES, Sizes
from etl.lake.layout import Lake
from etl.lake.loads import Load, all_loads, in_force
from etl.lake.tables import files_of, relation, transaction_of
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.project import Project
from etl.pipeline.upkeep import rebuild_from_landing
from etl.profiles.build import build_profiles
from etl.profiles.published import find_profiles
from etl.profiles.stored import current_identifiers, current_profiles
from etl.reports import BuildReport
from tests.profiles import lakes
from tests.profiles.breaking import BrokenOff, Fuse, FusedLake
from tests.profiles.reference import BY, People, Profile, Spec, hash_of, identifiers_of, people_of

Record = dict[str, Any]
STREAMS = {"amplitude_events": BY, "amplitude_cohorts": BY[:2]}
MAX_IDENTIFIERS = 4

_JOBS = """
lake: ./lake
max_identifiers: {limit}
{dedupe}
authorizations:
  shop: {{api_key: k, secret_key: s}}
jobs:
  events: {{type: amplitude_events, authorization: shop, mapping: events}}
  cohorts: {{type: amplitude_cohorts, authorization: shop, mapping: cohorts}}
"""


class History:
    """Two streams; the second one has fewer identifiers, and the fields of the first half of the specs' sources."""

    def __init__(
        self, folder: Path, specs: Sequence[Spec], dedupe_days: int | None = None, sizes: Sizes = DEFAULT_SIZES, at_once: int = 10**7
    ) -> None:
        self.sizes, self.at_once = sizes, at_once
        self.folder, self.specs, self.lake, self.dedupe_days = folder, list(specs), Lake(folder / "lake"), dedupe_days
        sources = list(dict.fromkeys(spec.source for spec in specs))
        self.sources = {"amplitude_events": sources, "amplitude_cohorts": sources[: (len(sources) + 1) // 2]}
        (folder / "mappings").mkdir(parents=True)
        for (stream, by), name in zip(STREAMS.items(), ("events", "cohorts"), strict=True):
            fields = [spec for spec in specs if spec.source in self.sources[stream]]
            (folder / f"mappings/{name}.yaml").write_text(lakes.mapping_text(stream, by, fields), encoding="utf-8")
        (folder / "jobs.yaml").write_text(
            _JOBS.format(limit=MAX_IDENTIFIERS, dedupe=f"dedupe_days: {dedupe_days}" if dedupe_days else ""), encoding="utf-8"
        )
        self.project = Project(folder / "jobs.yaml", load_jobs(folder / "jobs.yaml"))
        self.mappings = {job.stream: self.project.mapping(job) for job in self.project.jobs.jobs.values()}
        self.contents: dict[str, list[Record]] = {}
        self.ids: set[str] = set()
        self.replica: dict[str, Profile] = {}
        self.replica_build = 0

    def load(self, stream: str, hours: dict[int, list[Record]], lake: Lake | None = None) -> None:
        """Loads upload hours, replacing whatever they held."""
        lake = lake or self.lake
        known = {*BY, "time", "key", *self.sources[stream]} - (set(BY) - set(STREAMS[stream]))
        landed = []
        for hour, given in hours.items():
            records = [{name: value for name, value in record.items() if name in known} for record in given]
            landed.append(lakes.land(lake, hour, [_json(record) for record in records], stream))
            self.contents[landed[-1].attempt] = records
        ingest(Ingest(lake, self.mappings[stream], "job", force=True, at_once=self.at_once), landed)

    def build(self, lake: Lake | None = None, *, full: bool = False) -> BuildReport:
        return build_profiles(lake or self.lake, full=full, max_identifiers=MAX_IDENTIFIERS, dedupe_days=self.dedupe_days, sizes=self.sizes)

    def copied(self, folder: Path) -> History:
        """The same history in a folder of its own."""
        shutil.copytree(self.folder, folder)
        other = copy.copy(self)
        other.folder, other.lake = folder, Lake(folder / "lake")
        other.project = Project(folder / "jobs.yaml", load_jobs(folder / "jobs.yaml"))
        other.contents, other.ids, other.replica = dict(self.contents), set(self.ids), dict(self.replica)
        return other

    def commit_points(self, action: Any) -> list[int]:
        """Does `action(lake)` whole, and says after how many openings of tables a commit had just been made."""
        lake = FusedLake(self.lake.root)
        action(lake)
        return lake.fuse.points

    def broken_off(self, after: int, action: Any) -> bool:
        """Does `action(lake)` with a lake that breaks off when so many tables were opened; whether it did."""
        lake = FusedLake(self.lake.root, Fuse(after))
        try:
            action(lake)
        except BrokenOff:
            return True
        return False

    def people(self, loads: Iterable[Load]) -> People:
        return people_of([record for _, record in self.counting(loads)], self.specs)

    def counting(self, loads: Iterable[Load]) -> list[tuple[Load, Record]]:
        """The records that count: within a load the last of a key, and with `dedupe_days` the one of the smallest load."""
        loads = list(loads)
        placed = [(load, record) for load in loads for record in _once(self.contents[load.attempt])]
        return [(load, record) for load, record in placed if not any(one < load.load for one in self._near(load, record["key"], placed))]

    def repeated(self, loads: Iterable[Load]) -> set[tuple[str, str]]:
        """Load and key of records whose key stands in another load too."""
        placed = [(load, record) for load in loads for record in _once(self.contents[load.attempt])]
        days = self.dedupe_days or 1
        return {(load.load, record["key"]) for load, record in placed if self._near(load, record["key"], placed, days)}

    def _near(self, load: Load, key: str | None, placed: list[tuple[Load, Record]], days: int | None = None) -> set[str]:
        days = days or self.dedupe_days
        if key is None or days is None:
            return set()
        return {
            other.load
            for other, record in placed
            if record["key"] == key
            and other.stream == load.stream
            and other.load != load.load
            and abs(other.time - load.time) <= timedelta(days=days)
        }

    def check_readers(self) -> None:
        """At any time: the profiles are those of the loads that the last build says it applied."""
        applied = in_force(all_loads(self.lake), transaction_of(self.lake.profiles, "loads") or 0)
        expected = self.people(applied.values()).published(MAX_IDENTIFIERS)
        assert lakes.read(self.lake, self.specs) == expected
        self.ids |= expected.keys()

    def check(self) -> None:
        """After a build: everything agrees with a plain computation over the records in force."""
        loads = in_force(all_loads(self.lake))
        people = self.people(loads.values())
        published = people.published(MAX_IDENTIFIERS)
        assert lakes.read(self.lake, self.specs) == published
        self.ids |= published.keys()
        self._check_identifiers(people)
        conflicts = lakes.read_conflicts(self.lake)
        assert (len(conflicts), set(conflicts)) == (len(set(conflicts)), people.refused)
        raw = self.raw()
        assert {name: row["_records"] for name, row in raw.items()} == {name: one.records for name, one in people.profiles.items()}
        counting = self.counting(loads.values())
        nobody = sum(1 for _, record in counting if not identifiers_of(record))
        assert sum(row["_records"] for row in raw.values()) + nobody == len(counting), "profiles, quarantined and unidentified are all"
        if self.dedupe_days is None:
            assert (nobody, len(counting)) == tuple(sum(getattr(one, name) for one in loads.values()) for name in ("unidentified", "rows"))
        assert lakes.read_repeated(self.lake) == self.repeated(loads.values())
        self._follow_changes(published)

    def check_rebuilds(self) -> None:
        """A rebuild from fragments changes nothing at all, nor does one from the raw files."""
        before = self.raw()
        self.build(full=True)
        assert self.raw() == before
        self.check()
        rebuild_from_landing(self.project)
        assert self.raw() == before
        kept = {load.attempt: load.load for load in in_force(all_loads(self.lake)).values()}
        assert kept.keys() <= self.contents.keys()
        self.replica, self.replica_build = {}, 0
        self.check()

    def raw(self) -> dict[str, Record]:
        """Every column of `profiles` that has a value, but for the build's number, by profile."""
        source = current_profiles(self.lake)
        with self.lake.workspace() as (connection, _):
            found = rows(connection, f"SELECT * EXCLUDE (_build) FROM {source}") if source else []
        assert len({row["profile_id"] for row in found}) == len(found), "a profile stands twice"
        return {row["profile_id"]: {name: value for name, value in row.items() if value is not None} for row in found}

    def _check_identifiers(self, people: People) -> None:
        owners = {one: profile.id for profile in people.profiles.values() for one in profile.identifiers}
        assert lakes.read_identifiers(self.lake) == owners
        resolved = {hash_of(one): owner for one, owner in owners.items()}
        source = current_identifiers(self.lake)
        with self.lake.workspace() as (connection, _):
            found = rows(connection, f"SELECT id_hash, profile_id FROM {source}") if source else []
        assert {row["id_hash"]: row["profile_id"] for row in found} == resolved
        # Whatever was published once leads to a person, as long as the identifier that it came from is in some record.
        published = people.published(MAX_IDENTIFIERS)
        for old in sorted(self.ids & resolved.keys())[:1]:
            shown = find_profiles(self.lake, "profile_id", old)
            assert [one["profile_id"] for one in shown] == [resolved[old]] * (resolved[old] in published)

    def _follow_changes(self, published: dict[str, Profile]) -> None:
        """Somebody downstream takes over only what `changes` names since the build that they hold."""
        build = transaction_of(self.lake.profiles, "build") or 0
        source = relation(self.lake.changes, (file.path for file in files_of(self.lake.changes)))
        with self.lake.workspace() as (connection, _):
            query = f"SELECT * FROM {source} WHERE build > {self.replica_build}"
            found = rows(connection, query) if source else []
        everybody, held = self.raw(), set(self.replica)
        for row in found:
            assert row["build"] <= build
            last = row["build"] == build
            assert not last or (row["profile_id"] in everybody) == (row["change"] != "merged_away")
            if row["build"] == self.replica_build + 1 and row["change"] == "inserted":
                assert row["profile_id"] not in held
            self.replica.pop(row["profile_id"], None)
            if row["profile_id"] in published:
                self.replica[row["profile_id"]] = published[row["profile_id"]]
        assert len({(row["build"], row["profile_id"]) for row in found}) == len(found), "a change stands twice"
        assert self.replica == published
        self.replica_build = build


def _once(records: list[Record]) -> list[Record]:
    """The records of a load; of several with one key the last one."""
    last = {record["key"]: place for place, record in enumerate(records) if record["key"] is not None}
    return [record for place, record in enumerate(records) if record["key"] is None or last[record["key"]] == place]


def _json(value: Any) -> Any:
    """As JSON has it: instants as text, nothing for None."""
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
