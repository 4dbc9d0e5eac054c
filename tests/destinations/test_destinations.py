"""Destinations hold exactly the current profiles, change as a whole, and write only what changed."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.destinations.erase import erase_old
from etl.destinations.parquet import load_parquet
from etl.destinations.sql import load_sql
from etl.errors import ConfigurationError, TransientError
from etl.jobs import ParquetDestination
from etl.lake.layout import Lake
from etl.lake.tables import files_of
from etl.mapping import load_mapping
from etl.profiles.build import build_profiles
from etl.reports import LoadReport
from tests.profiles import lakes


def _record(user: str | None, device: str, time: int, **more: Any) -> dict[str, Any]:
    return {"user": user, "device": device, "time": time, "city": "Oslo", "props": {"x": "1"}, "type": "buy"} | more


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lakes.load(lake, lakes.mapping_in(tmp_path), {0: [_record("u1", "d1", 1), _record(None, "d2", 2), _record("u3", "d3", 3)]})
    build_profiles(lake)
    return lake


def _sql(lake: Lake, tmp_path: Path) -> LoadReport:
    return load_sql(lake, "db", f"sqlite:///{tmp_path / 'out/profiles.db'}", "profiles")


def _rows(tmp_path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "out/profiles.db") as database:
        return database.execute(query).fetchall()


def test_parquet_holds_exactly_the_profiles(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "out/profiles"
    assert load_parquet(lake, "files", path).written == 3
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["profile_id", "first_seen", "last_seen", "user", "device", "city", "props", "counts"]
    assert frame["profile_id"].is_unique
    schema = pq.read_schema(path / "profiles.parquet")
    assert pa.types.is_map(schema.field("props").type)
    assert schema.field("first_seen").type == pa.timestamp("us", tz="UTC")


def test_parquet_is_swapped_as_a_whole(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "out/profiles"
    load_parquet(lake, "files", path)
    opened = (path / "profiles.parquet").resolve()
    assert not load_parquet(lake, "files", path).full, "nothing changed, nothing is written"
    lakes.load(lake, lakes.mapping_in(tmp_path), {1: [_record("u4", "d4", 4)]})
    build_profiles(lake)
    load_parquet(lake, "files", path)
    assert len(pd.read_parquet(path)) == 4
    assert len(pd.read_parquet(opened)) == 3, "whoever reads the version before reads it to the end"
    build_profiles(lake, full=True)
    load_parquet(lake, "files", path)
    assert not opened.exists(), "only one version is kept"


def test_what_cannot_be_removed_is_told_and_tried_again(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds a file of an old version open on a network file system, say."""
    path = tmp_path / "out/profiles"

    remove = shutil.rmtree

    def busy(folder: Path, **options: bool) -> None:
        if folder.parent == path.parent:
            raise OSError(errno.EBUSY, "Device or resource busy", str(folder))
        remove(folder, **options)

    versions = []
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", busy)
        for _ in range(3):
            assert load_parquet(lake, "files", path).full
            versions.append(path.resolve())
            build_profiles(lake, full=True)
        reports = [load_parquet(lake, "files", path), load_parquet(lake, "files", path)]
        versions.append(path.resolve())
        busy_ones = tuple(f"{one}: Device or resource busy" for one in versions[:2])
        assert [(report.full, report.left) for report in reports] == [(True, busy_ones), (False, busy_ones)]
        with pytest.raises(TransientError, match="an old version of the destination could not be removed"):
            erase_old("files", ParquetDestination(type="parquet", path=path))
    assert load_parquet(lake, "files", path).left == ()
    assert [one.exists() for one in versions] == [False, False, True, True], "the version before the current one stays"


def test_sql_writes_what_changed_and_removes_who_is_gone(lake: Lake, tmp_path: Path) -> None:
    assert (_sql(lake, tmp_path).full, _sql(lake, tmp_path).written) == (True, 0)
    lakes.load(lake, lakes.mapping_in(tmp_path), {1: [_record("u1", "d2", 5, city="Rome")]})
    build_profiles(lake)
    report = _sql(lake, tmp_path)
    assert (report.full, report.written) == (False, 1)
    assert _rows(tmp_path, "SELECT user, city, counts FROM profiles ORDER BY user") == [
        ("u1", "Rome", '{"buy":3}'),
        ("u3", "Oslo", '{"buy":1}'),
    ]
    ids = dict(_rows(tmp_path, "SELECT namespace || '=' || value, profile_id FROM profiles_identifiers"))
    assert ids["device=d2"] == ids["user=u1"] == ids["device=d1"] != ids["user=u3"]


def test_sql_starts_anew_when_changes_are_not_known_any_more(lake: Lake, tmp_path: Path) -> None:
    _sql(lake, tmp_path)
    lakes.load(lake, lakes.mapping_in(tmp_path), {1: [_record("u1", "d2", 5)]})
    build_profiles(lake)
    for file in files_of(lake.changes):
        (lake.changes.path / file.path).unlink()
    (lake.changes.path / "_delta_log").rename(lake.root / "gone")
    report = _sql(lake, tmp_path)
    assert (report.full, report.written) == (True, 2)
    assert len(_rows(tmp_path, "SELECT * FROM profiles")) == 2


def test_a_crash_in_the_middle_leaves_the_previous_state(lake: Lake, tmp_path: Path) -> None:
    _sql(lake, tmp_path)
    before = _rows(tmp_path, "SELECT * FROM profiles ORDER BY profile_id")
    with sqlite3.connect(tmp_path / "out/profiles.db") as database:
        database.execute("CREATE TRIGGER crash BEFORE INSERT ON profiles_state BEGIN SELECT RAISE(ABORT, 'crash'); END")
    lakes.load(lake, lakes.mapping_in(tmp_path), {1: [_record("u9", "d9", 5)]})
    build_profiles(lake)
    with pytest.raises(ConfigurationError, match="the database refused the profiles"):
        _sql(lake, tmp_path)
    assert _rows(tmp_path, "SELECT * FROM profiles ORDER BY profile_id") == before


def test_a_new_field_is_a_new_column_and_a_changed_kind_is_refused(lake: Lake, tmp_path: Path) -> None:
    _sql(lake, tmp_path)
    (tmp_path / "wider.yaml").write_text(lakes.MAPPING + "  - {field: visits, from: visits, kind: int, merge: sum}\n")
    wider = load_mapping(str(tmp_path / "wider.yaml"), [])
    lakes.load(lake, wider, {1: [_record("u1", "d1", 5, visits=2), _record("u1", "d1", 6, visits="3")]})
    build_profiles(lake)
    assert _sql(lake, tmp_path).full
    assert _rows(tmp_path, "SELECT user, visits FROM profiles ORDER BY user") == [(None, None), ("u1", 5), ("u3", None)]
    (tmp_path / "changed.yaml").write_text(lakes.MAPPING.replace("from: city, kind: string", "from: city, kind: int"))
    with pytest.raises(ConfigurationError, match="the stored fragments cannot follow") as caught:
        lakes.load(lake, load_mapping(str(tmp_path / "changed.yaml"), []), {2: [_record("u1", "d1", 5)]})
    assert "rebuild --from landing" in str(caught.value)


def test_wrong_urls_say_what_is_wrong_without_the_password(lake: Lake) -> None:
    for url in ("nonsense", "nosuch://user:hush@host/db"):
        with pytest.raises(ConfigurationError, match="the database URL cannot be used") as caught:
            load_sql(lake, "db", url, "profiles")
        assert "hush" not in str(caught.value)


def test_json_maps_read_back(lake: Lake, tmp_path: Path) -> None:
    _sql(lake, tmp_path)
    ((props,),) = _rows(tmp_path, "SELECT props FROM profiles WHERE user = 'u1'")
    assert json.loads(props) == {"x": "1"}
