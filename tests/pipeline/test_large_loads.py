"""A load that is read in pieces is the load that is read whole: rows, rejects, counts, digest and profiles."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from etl.engines.local import connect, rows
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.lake.tables import files_of, relation
from etl.landing.manifest import Landed, LoadId
from etl.landing.store import incoming, place
from etl.mapping import Mapping, load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.profiles.build import build_profiles
from etl.profiles.published import published_query
from etl.settings import Clock, packaged_mappings
from tests.profiles.lakes import START

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


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    lake = _load(tmp_path / "lake", load_mapping("amplitude_events", [packaged_mappings()]), 700)
    assert list(lake.scratch.iterdir()) == []
    for table in (lake.stream("amplitude_events"), lake.fragments("amplitude_events"), lake.rejects):
        there = {str(path.relative_to(table.path)) for path in table.path.rglob("*.parquet")}
        assert there == {file.path for file in files_of(table)}
