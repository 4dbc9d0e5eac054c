"""How rows are laid out in the lake: lakes of before, recent files beside the base, and plain reading by other engines."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from etl.engines.local import rows
from etl.lake.layers import Sizes, is_folded
from etl.lake.layout import Lake
from etl.lake.tables import files_of, transaction_of
from etl.mapping import load_mapping
from etl.profiles.build import build_profiles
from etl.profiles.companions import count_profiles
from etl.profiles.fold import fold_profiles
from etl.profiles.published import find_profiles
from etl.profiles.versions import changed_since, current_version, written_since
from tests.profiles import lakes
from tests.profiles.lakes import mapping_in

# Made by the version before rows of several builds stood side by side: two builds of three loads.
LAYOUT_1 = Path(__file__).parent / "data" / "layout_1.zip"
BESIDE = Sizes(share=1e9, files=100)


def record(time: int, user: str | None, device: str, city: str) -> dict[str, Any]:
    return {"time": time, "user": user, "device": device, "city": city, "key": f"{time}", "type": "view", "props": {"n": str(time)}}


@pytest.fixture
def before(tmp_path: Path) -> Lake:
    with zipfile.ZipFile(LAYOUT_1) as archive:
        archive.extractall(tmp_path)
    return Lake(tmp_path / "lake")


def test_a_lake_of_before_is_read_and_built_on(before: Lake, tmp_path: Path) -> None:
    people = lakes.read(before)
    assert {tuple(sorted(value for _, value in one.identifiers)) for one in people.values()} == {("d1", "d3", "u1"), ("d2",), ("u2",)}
    assert count_profiles(before) == {"profiles": 3, "quarantined": 0}
    assert [one["city"] for one in find_profiles(before, "device", "d3")] == ["Rome"]
    # The first build is a whole one, though nothing is new; the next one has nothing to do.
    report = build_profiles(before)
    assert (report.full, report.build, report.updated, report.profiles) == (True, 3, 3, 3)
    assert lakes.read(before) == people
    assert (build_profiles(before).build, build_profiles(before).full) == (3, False)
    lakes.load(before, mapping_in(tmp_path), {3: [record(9, None, "d2", "Kyiv")]})
    report = build_profiles(before, sizes=BESIDE)
    assert (report.full, report.updated, report.conflicts) == (False, 1, 0)
    assert [one["city"] for one in find_profiles(before, "device", "d2")] == ["Kyiv"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Ten people in the base, and beside it: d0 turns out to be u1's, d1 changes, d11 is new; d1 changes again."""
    lake, mapping = Lake(tmp_path / "lake"), mapping_in(tmp_path)
    lake.ensure_writable()
    lakes.load(lake, mapping, {0: [record(n, None if n < 9 else "u1", f"d{n}", "Oslo") for n in range(10)]})
    build_profiles(lake, sizes=BESIDE)
    lakes.load(lake, mapping, {1: [record(20, "u1", "d0", "Oslo"), record(21, None, "d1", "Rome"), record(22, None, "d11", "Rome")]})
    build_profiles(lake, sizes=BESIDE)
    lakes.load(lake, mapping, {2: [record(30, None, "d1", "Paris")]})
    build_profiles(lake, sizes=BESIDE)
    return lake


def test_builds_write_what_they_touch(lake: Lake) -> None:
    files = files_of(lake.profiles)
    # Two are one now, under the id of the one seen first; a row says that the other is gone.
    assert sorted((file.partition["bucket"], file.rows) for file in files) == [("-1", 1), ("-1", 4), ("0", 10)]
    assert count_profiles(lake) == {"profiles": 10, "quarantined": 0} == {"profiles": len(lakes.read(lake)), "quarantined": 0}
    owners = lakes.read_identifiers(lake)
    assert len(owners) == 12
    assert owners[("user", "u1")] == owners[("device", "d0")] == owners[("device", "d9")]
    people = lakes.read(lake)
    assert fold_profiles(lake) == 2 and fold_profiles(lake) == 0
    assert is_folded(files_of(lake.profiles)) and sum(file.rows for file in files_of(lake.profiles)) == 10
    assert (lakes.read(lake), lakes.read_identifiers(lake)) == (people, owners)
    assert transaction_of(lake.profiles, "build") == 3
    assert count_profiles(lake) == {"profiles": 10, "quarantined": 0}


def test_rows_are_cut_into_ranges(lake: Lake, tmp_path: Path) -> None:
    """The base, recent rows and the rows that say that somebody is gone; ranges that hold nobody included."""
    people, owners = lakes.read(lake), lakes.read_identifiers(lake)
    cut = Sizes(share=1e9, rows=1)
    build_profiles(lake, full=True, sizes=cut)
    assert (lakes.read(lake), lakes.read_identifiers(lake)) == (people, owners)
    buckets = {int(file.partition["bucket"]) for file in files_of(lake.profiles)}
    assert len(buckets) > 3 and min(buckets) >= 0
    before = lakes.read(lake)
    lakes.load(lake, mapping_in(tmp_path), {3: [record(n, f"u{n}", f"d{n}", "Kyiv") for n in (40, 41)] + [record(42, "u1", "d2", "Kyiv")]})
    report = build_profiles(lake, sizes=cut)
    assert (report.inserted, report.updated, report.merged_away) == (2, 1, 1)
    assert len(lakes.read(lake)) == len(before) + 1
    people = lakes.read(lake)
    fold_profiles(lake, cut)
    assert lakes.read(lake) == people
    build_profiles(lake, full=True)
    assert lakes.read(lake) == people


def test_a_file_of_the_base_holds_several_ranges_of_what_was_put_away(tmp_path: Path) -> None:
    lake, mapping = Lake(tmp_path / "lake"), mapping_in(tmp_path)
    lake.ensure_writable()
    for hour in range(12):
        seen = [record(hour * 100 + n, None, f"d{n}", f"city {hour}") for n in range(20) if n % (hour + 1) < 3]
        lakes.load(lake, mapping, {hour: seen})
    # Some 110 contributions are put away in 12 ranges, and two of those make a file of the 20 people.
    build_profiles(lake, sizes=Sizes(rows=10))
    buckets = {int(file.partition["bucket"]) for file in files_of(lake.profiles)}
    assert buckets <= set(range(6)) and len(buckets) > 4
    people = lakes.read(lake)
    assert len(people) == 20
    build_profiles(lake, full=True)
    assert lakes.read(lake) == people


def test_recent_files_become_one(lake: Lake, tmp_path: Path) -> None:
    people = lakes.read(lake)
    lakes.load(lake, mapping_in(tmp_path), {3: [record(40, None, "d12", "Rome")]})
    build_profiles(lake, sizes=Sizes(share=1e9, files=2))
    assert sorted((file.partition["bucket"], file.rows) for file in files_of(lake.profiles)) == [("-1", 5), ("0", 10)]
    assert len(lakes.read(lake)) == 11 and lakes.read(lake).items() >= people.items()


def test_other_engines_read_the_newest_row_of_each(lake: Lake) -> None:
    """By the rule that the documentation gives, and nothing else."""
    profiles = DeltaTable(str(lake.profiles.path)).file_uris()
    newest = f"""SELECT * FROM read_parquet({profiles}, union_by_name = true)
        QUALIFY _build = max(_build) OVER (PARTITION BY profile_id)"""
    found = duckdb.sql(f"SELECT profile_id, city FROM ({newest}) WHERE NOT _quarantined").fetchall()
    with lake.workspace() as (connection, _):
        expected = rows(connection, f"SELECT profile_id, city FROM ({current_version(lake).profiles})")
    assert sorted(found) == sorted((row["profile_id"], row["city"]) for row in expected)
    identifiers = DeltaTable(str(lake.identifiers.path)).file_uris()
    newest = f"""SELECT * FROM read_parquet({identifiers}, union_by_name = true)
        QUALIFY _build = max(_build) OVER (PARTITION BY id_hash)"""
    owners = duckdb.sql(f"SELECT namespace, value, profile_id FROM ({newest}) WHERE profile_id IS NOT NULL").fetchall()
    assert {(namespace, value): owner for namespace, value, owner in owners} == lakes.read_identifiers(lake)


@pytest.mark.parametrize("folded", [False, True])
def test_what_was_written_since_a_build(lake: Lake, folded: bool) -> None:
    if folded:
        fold_profiles(lake)
    version = current_version(lake)
    people = lakes.read(lake)
    for since, cities in ((1, {"Oslo", "Paris", "Rome"}), (2, {"Paris"}), (3, set())):
        changed = changed_since(lake, version, since)
        assert changed is not None
        with lake.workspace() as (connection, _):
            written = rows(connection, f"SELECT profile_id, city FROM ({written_since(lake, version, since).profiles})")
            ids = {row["profile_id"] for row in rows(connection, changed)}
            named = {row["profile_id"] for row in rows(connection, written_since(lake, version, since).identifiers)}
        assert {row["city"] for row in written} == cities
        assert {row["profile_id"] for row in written} == named == ids & people.keys()


def test_a_field_that_is_new_joins_what_is_stored(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ensure_writable()
    lakes.load(lake, mapping_in(tmp_path), {0: [record(1, "u1", "d1", "Oslo"), record(2, "u2", "d2", "Rome")]})
    build_profiles(lake, sizes=BESIDE)
    wider = tmp_path / "wider.yaml"
    wider.write_text(lakes.MAPPING + "  - {field: kind, from: type, kind: string}\n", encoding="utf-8")
    lakes.load(lake, load_mapping(str(wider), []), {1: [record(3, "u1", "d1", "Paris")]})
    assert not build_profiles(lake, sizes=BESIDE).full
    (one,), (other,) = (find_profiles(lake, "user", name) for name in ("u1", "u2"))
    assert (one["city"], one["kind"], one["counts"]) == ("Paris", "view", {"view": 2})
    assert (other["city"], other["kind"]) == ("Rome", None)
