"""A load that is read in pieces is the load that is read whole: rows, rejects, counts, digest and profiles."""

from __future__ import annotations

import gzip
import json
import resource
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from etl.engines.local import connect, rows
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.lake.tables import files_of, relation
from etl.landing.manifest import Landed, LoadId
from etl.landing.store import incoming, place
from etl.mapping import Mapping, load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.profiles.build import build_profiles
from etl.profiles.privacy import start_suppression, store_suppression
from etl.profiles.published import published_query
from etl.settings import Clock, packaged_mappings
from tests.profiles.lakes import START, land, mapping_in, read_identifiers

ATTEMPT = "0123456789abcdef"


def _event(n: int) -> str:
    person = {"user_id": f"u{n % 7}", "device_id": f"d{n % 11}"} if n % 5 else {}
    event = {
        "uuid": f"k{n % 40}" if n % 3 else None,
        "event_type": f"type {n % 4}",
        "event_time": f"2024-03-01 00:00:{n % 60:02}.{n % 1000:03}",
        "session_id": "none" if n % 13 == 0 else n,
        "event_properties": {f"p{n % 6}": n, "list": [n, n + 1], "nested": {"a": {"b": n}}},
        # The kernel leaves it to the other way.
        "user_properties": {"twice": 1.123456789012345678 * n} if n % 9 == 0 else {},
    }
    return json.dumps(event | person)


def _lines() -> list[str]:
    lines = [_event(n) for n in range(120)]
    lines[5:5] = ["{broken", "", "[1, 2]", "\ufffd"]
    lines[60:60] = ["null", '{"unfinished": "']
    return [*lines, _event(3), _event(3)]


def _landed(lake: Lake, lines: list[str]) -> list[Landed]:
    """An hour of two members, one zipped, and a small hour."""
    made = []
    for hour, members in enumerate(([lines[:50], lines[50:]], [lines[:3]])):
        attempt = f"{ATTEMPT}{hour}"
        folder = incoming(lake.landing, attempt)
        names = []
        for n, some in enumerate(members):
            text = "".join(line + "\n" for line in some).encode()
            names.append(f"{n}.json.gz" if n else f"{n}.json")
            (folder / names[-1]).write_bytes(gzip.compress(text) if n else text)
        load = LoadId("amplitude_events", "shop", f"2024-03-01T{hour:02}")
        made.append(place(lake.landing, Landed(load, attempt, folder, tuple(names), START, size=1)))
    return made


def _content(lake: Lake) -> tuple[list[Load], dict[str, list[str]], list[str]]:
    loads = sorted(current_loads(lake).values(), key=lambda load: load.load)
    with connect() as connection:
        tables = {}
        for table in (lake.stream("amplitude_events"), lake.rejects):
            source = relation(table, (file.path for file in files_of(table)))
            tables[table.path.name] = sorted(map(repr, rows(connection, f"SELECT * FROM {source}")))
        return loads, tables, sorted(map(repr, rows(connection, f"SELECT * FROM ({published_query(lake)})")))


def _load(folder: Path, mapping: Mapping, at_once: int) -> Lake:
    lake = Lake(folder)
    ingest(Ingest(lake, mapping, "job", Clock(now=lambda: START), at_once=at_once), _landed(lake, _lines()))
    build_profiles(lake)
    return lake


@pytest.mark.parametrize("at_once", [500, 9000])
def test_a_load_in_pieces_is_the_load_in_one(tmp_path: Path, at_once: int) -> None:
    mapping = load_mapping("amplitude_events", [packaged_mappings()])
    whole = _content(_load(tmp_path / "whole", mapping, 10**7))
    pieces = _content(_load(tmp_path / "pieces", mapping, at_once))
    assert whole[0][0].duplicates > 0
    assert whole[0][0].rejects == 5
    assert whole[0][0].misfits != "{}"
    assert pieces == whole


def test_no_file_stands_in_a_table_that_is_not_committed(tmp_path: Path) -> None:
    lake = _load(tmp_path / "lake", load_mapping("amplitude_events", [packaged_mappings()]), 700)
    for table in (lake.stream("amplitude_events"), lake.fragments("amplitude_events"), lake.rejects):
        there = {str(path.relative_to(table.path)) for path in table.path.rglob("*.parquet")}
        assert there == {file.path for file in files_of(table)}


def test_many_small_loads_come_together(tmp_path: Path) -> None:
    """More than are worked on at once, some of them empty; few files are open at any time."""
    lake, most_open = Lake(tmp_path / "lake"), resource.getrlimit(resource.RLIMIT_NOFILE)
    landed = [land(lake, hour, [{"user": f"u{hour % 7}", "time": hour}] * (hour % 3)) for hour in range(150)]
    now = sum(1 for _ in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 160, most_open[1]))
    try:
        report = ingest(Ingest(lake, mapping_in(tmp_path), "job"), landed)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most_open)
    assert (len(report.loaded), len(report.empty), report.rows) == (100, 50, 150)
    assert sum(load.rows for load in current_loads(lake).values()) == 150


@dataclass(frozen=True)
class ForgettingLake(Lake):
    """Somebody is forgotten when the import is about to commit what it mapped."""

    who: list[tuple[str, str]] = field(default_factory=list)

    def writing(self) -> FileLock:
        if self.who:
            store_suppression(self, start_suppression(self).with_([self.who.pop()]))
        return super().writing()


def test_who_is_forgotten_while_an_import_maps_stays_away(tmp_path: Path) -> None:
    lake = ForgettingLake(tmp_path / "lake", [("user", "u1")])
    report = ingest(Ingest(lake, mapping_in(tmp_path), "job"), [land(lake, 0, [{"user": f"u{n % 2}", "time": n} for n in range(6)])])
    assert lake.who == []
    assert report.rows == 3
    build_profiles(lake)
    assert set(read_identifiers(lake)) == {("user", "u0")}
    table = lake.stream("amplitude_events")
    assert {str(path.relative_to(table.path)) for path in table.path.rglob("*.parquet")} == {file.path for file in files_of(table)}
