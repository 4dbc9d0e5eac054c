"""Commits are whole or not at all, and the last word on a load belongs to one writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from etl.engines.local import connect, rows
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING, Load, all_loads, commit_loads, compact_loads, current_loads, in_force
from etl.lake.swap import BESIDE, mark_ready, swap_in
from etl.lake.tables import CommitConflict, Table, commit, files_of, new_token, relation, schema_of, transaction_of, version_of, write_file

BUCKET = {"bucket": "INTEGER"}


def _add(table: Table, query: str, **options: object) -> None:
    connection = connect()
    file = write_file(connection, query, table, {"bucket": "1"}, new_token())
    assert file is not None
    commit(table, schema_of(connection, query, table), add=[file], **options)  # type: ignore[arg-type]


def _read(table: Table) -> list[dict[str, object]]:
    source = relation(table, (file.path for file in files_of(table)))
    return rows(connect(), f"SELECT * FROM {source} ORDER BY ALL") if source else []


def test_files_count_from_their_commit_on(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", BUCKET)
    assert (version_of(table), files_of(table), _read(table)) == (-1, [], [])
    connection = connect()
    file = write_file(connection, "SELECT 1 AS a", table, {"bucket": "1"}, "x")
    assert file is not None
    assert _read(table) == []
    commit(table, schema_of(connection, "SELECT 1 AS a", table), add=[file], transactions={"build": 7})
    assert _read(table) == [{"a": 1, "bucket": 1}]
    assert transaction_of(table, "build") == 7
    assert write_file(connection, "SELECT 1 AS a WHERE FALSE", table, {"bucket": "2"}, "y") is None


def test_adding_and_removing_is_one_commit(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", BUCKET)
    _add(table, "SELECT 1 AS a")
    (old,) = files_of(table)
    _add(table, "SELECT 2 AS a", remove=[old.path])
    assert _read(table) == [{"a": 2, "bucket": 1}]


def test_compare_and_set(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", BUCKET)
    _add(table, "SELECT 1 AS a")
    version = version_of(table)
    _add(table, "SELECT 2 AS a", expected_version=version)
    with pytest.raises(CommitConflict):
        _add(table, "SELECT 3 AS a", expected_version=version)
    assert len(list(table.path.rglob("*.parquet"))) == 2, "the refused file is gone"
    assert [row["a"] for row in _read(table)] == [1, 2]


def test_new_columns_are_added_and_changed_types_refused(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", BUCKET)
    _add(table, "SELECT 1 AS a")
    _add(table, "SELECT 2 AS a, 'x' AS b, map{'k': 1.5::DOUBLE} AS m", expected_version=version_of(table))
    assert _read(table) == [{"a": 1, "b": None, "m": None, "bucket": 1}, {"a": 2, "b": "x", "m": [("k", 1.5)], "bucket": 1}]
    with pytest.raises(ConfigurationError, match="the column a has another type"):
        _add(table, "SELECT 'text' AS a")


def test_any_delta_reader_reads_the_tables(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", BUCKET)
    _add(table, "SELECT 1::BIGINT AS a, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS t, map{'k': 'v'} AS m, [{'n': 'x'}] AS l")
    (row,) = DeltaTable(str(table.path)).to_pyarrow_table().to_pylist()
    assert row == {"a": 1, "t": datetime(2024, 1, 1, tzinfo=UTC), "m": [("k", "v")], "l": [{"n": "x"}], "bucket": 1}


def _load(unit: str, attempt: str) -> Load:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    zeros = dict.fromkeys(("lines", "records", "rows", "duplicates", "rejects", "unidentified", "early", "bytes"), 0)
    texts = {"digest": "d", "mapping": "m", "job": "j", "misfits": "{}", "details": "{}"}
    return Load(f"s/p/{unit}", "s", "p", unit, attempt, date=date(2024, 1, 1), time=now, committed_at=now, **zeros, **texts)  # type: ignore[arg-type]


def test_the_newest_row_of_a_load_is_in_force(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    commit_loads(lake, [_load("1", "a"), _load("2", "b")], lambda new, old: True)
    commit_loads(lake, [_load("1", "c")], lambda new, old: True)
    assert {load.unit: load.attempt for load in current_loads(lake).values()} == {"1": "c", "2": "b"}
    assert {load.unit: load.attempt for load in in_force(all_loads(lake), up_to=1).values()} == {"1": "a", "2": "b"}
    compact_loads(lake)
    assert len(files_of(lake.loads)) == 1
    commit_loads(lake, [_load("3", "d")], lambda new, old: True)
    assert [load.attempt for load in all_loads(lake)] == ["a", "b", "c", "d"]


def test_files_that_were_sent_on_are_read_by_those_that_ask(tmp_path: Path) -> None:
    """Everything else reads loads that give rows, and neither commits nor compaction loses the others."""
    lake = Lake(tmp_path)
    for number in range(3):
        commit_loads(lake, [replace(_load(str(number), f"f{number}"), load=f"forwarding/j/{number}", stream=FORWARDING)], lambda *_: True)
    commit_loads(lake, [_load("1", "a")], lambda new, old: old is None)
    compact_loads(lake)
    commit_loads(lake, [replace(_load("2", "f9"), load="forwarding/j/2", stream=FORWARDING)], lambda new, old: old is None)
    assert [load.attempt for load in all_loads(lake)] == ["a"]
    assert set(current_loads(lake, forwarded=True)) == {"s/p/1", "forwarding/j/0", "forwarding/j/1", "forwarding/j/2"}
    assert [load.attempt for load in all_loads(lake, forwarded=True, named=["forwarding/j/2"])] == ["f2"]
    assert all_loads(lake, forwarded=True, named=[]) == []


def test_two_writers_of_one_load_do_not_both_count(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def commit_once(attempt: str) -> int:
        return len(commit_loads(lake, [_load("1", attempt)], lambda new, old: old is None))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(commit_once, "abcdef")) == 1
    assert len(all_loads(lake)) == 1


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_swap_that_was_cut_off_is_finished(tmp_path: Path, steps: int) -> None:
    for name in ("loads", "profiles", "state/streams", "streams"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "old").touch()
        (tmp_path / BESIDE / name).mkdir(parents=True)
        (tmp_path / BESIDE / name / "new").touch()
    swap_in(tmp_path)
    assert (tmp_path / "loads/old").exists(), "nothing happens before it is ready"
    mark_ready(tmp_path)
    # As far as a killed swap may have come: the old table moved away, or both moves done and not yet noted.
    if steps >= 1:
        (tmp_path / "streams").rename(tmp_path / BESIDE / "streams.old")
    if steps >= 3:
        (tmp_path / BESIDE / "streams").rename(tmp_path / "streams")
    swap_in(tmp_path)
    for name in ("loads", "profiles", "state/streams", "streams"):
        assert [path.name for path in (tmp_path / name).iterdir()] == ["new"], name
    assert not (tmp_path / BESIDE).exists()
