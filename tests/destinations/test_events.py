"""Mapped events in destinations: exactly the counted records, load by load, replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from etl.destinations.beside import Beside
from etl.destinations.erase import erase_old
from etl.destinations.parquet import load_parquet
from etl.destinations.sql import load_sql
from etl.errors import TransientError
from etl.jobs import ParquetDestination
from etl.lake.layout import Lake
from tests.destinations.contents import execute, of_database, of_lake
from tests.destinations.cutting import proxy_to
from tests.destinations.histories import make_history
from tests.profiles import lakes

pytestmark = pytest.mark.xdist_group("postgres")

WIDER = lakes.MAPPING + "  - {field: visits, from: visits, kind: int, merge: sum}\n"
EVENTS = 'SELECT load, "user", city, _key FROM profiles_amplitude_events ORDER BY 1, 2, 3, 4'


def _event(user: str, city: str, **more: Any) -> dict[str, Any]:
    return {"user": user, "device": f"d-{user}", "time": 1, "city": city, "props": {"a": "b"}, "type": "buy", "key": f"k-{user}"} | more


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Lake]:
    """A lake with two hours; the second one read again with other records and a third; then a field more in a fourth."""
    return make_history(
        tmp_path_factory.mktemp("steps"),
        [
            (lakes.MAPPING, {0: [_event("u1", "Oslo"), _event("u1", "Rome")], 1: [_event("u2", "Oslo", key="a\0b"), _event("u3", "Bonn")]}),
            (lakes.MAPPING, {1: [_event("u2", "Lima")], 25: [_event("u4", "Nara")]}),
            (WIDER, {2: [_event("u1", "Kyiv", visits=3)]}),
        ],
    )


def _hour(number: int, *rows: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(f"amplitude_events/shop/2024-03-{1 + number // 24:02d}T{number % 24:02d}", *row) for row in rows]


FIRST = _hour(0, ("u1", "Rome", "k-u1"))  # the last line of a key counts
BEFORE = [*FIRST, *_hour(1, ("u2", "Oslo", "a\ufffdb"), ("u3", "Bonn", "k-u3"))]
AFTER = [*FIRST, *_hour(1, ("u2", "Lima", "k-u2")), *_hour(25, ("u4", "Nara", "k-u4"))]
NEWEST = [*FIRST, AFTER[1], *_hour(2, ("u1", "Kyiv", "k-u1")), AFTER[2]]


def test_events_follow_the_loads(database: str, steps: list[Lake]) -> None:
    for lake, written, expected in zip(steps, (3, 2, 1), (BEFORE, AFTER, NEWEST), strict=True):
        assert load_sql(lake, "db", database, "profiles", events=True).events == written
        assert execute(database, EVENTS) == expected
        assert of_database(database) == of_lake(lake)
        assert load_sql(lake, "db", database, "profiles", events=True).events == 0
    assert execute(database, "SELECT visits FROM profiles_amplitude_events ORDER BY load") == [(None,), (None,), (3,), (None,)]
    assert execute(database, 'SELECT "rows" FROM profiles_loads ORDER BY load') == [(1,), (1,), (1,), (1,)]
    days = execute(database, "SELECT date, count(*) FROM profiles_amplitude_events GROUP BY 1 ORDER BY 1")
    assert [(str(day), count) for day, count in days] == [("2024-03-01", 3), ("2024-03-02", 1)]


def test_a_field_that_comes_back_and_a_column_that_was_dropped_are_written_again(database: str, steps: list[Lake]) -> None:
    load_sql(steps[2], "db", database, "profiles", events=True)
    load_sql(steps[1], "db", database, "profiles", events=True)  # knows no visits
    assert load_sql(steps[2], "db", database, "profiles", events=True).events == 4
    execute(database, "ALTER TABLE profiles_amplitude_events DROP COLUMN visits")
    assert load_sql(steps[2], "db", database, "profiles", events=True).events == 4
    assert execute(database, "SELECT sum(visits) FROM profiles_amplitude_events") == [(3,)]
    execute(database, "DROP TABLE profiles_amplitude_events")
    assert load_sql(steps[2], "db", database, "profiles", events=True).events == 4
    assert load_sql(steps[2], "db", database, "profiles", "full", events=True).events == 4
    assert execute(database, EVENTS) == NEWEST


def test_events_change_with_the_profiles_or_not_at_all(postgres: str, steps: list[Lake]) -> None:
    load_sql(steps[0], "db", postgres, "profiles", events=True)
    with proxy_to(postgres) as proxy:
        for number in range(20, 1000, 6):
            proxy.cut_at = number
            try:
                load_sql(steps[1], "db", proxy.url, "profiles", events=True)
            except TransientError:
                assert execute(postgres, EVENTS) == BEFORE
                assert of_database(postgres) == of_lake(steps[0])
            else:
                break
    assert number > 50
    assert execute(postgres, EVENTS) == AFTER
    assert of_database(postgres) == of_lake(steps[1])


def test_the_folder_of_events(steps: list[Lake], tmp_path: Path) -> None:
    path = tmp_path / "out/profiles"
    events = tmp_path / "out/profiles_amplitude_events"
    known: dict[str, int] = {}
    for lake, written, expected in zip(steps, (3, 2, 4), (BEFORE, AFTER, NEWEST), strict=True):
        assert load_parquet(lake, "files", path, events=True).events == written
        query = f"SELECT load, \"user\", city, replace(_key, chr(0), '\ufffd') FROM read_parquet('{events}/**/*.parquet') ORDER BY ALL"
        assert duckdb.sql(query).fetchall() == expected
        files = {file.name: file.stat().st_ino for file in events.glob("date=*/*.parquet")}
        shared = known.keys() & files.keys()  # a new field writes all files anew
        assert [files[name] == known[name] for name in shared] == ([True] if written == 2 else [False] * len(shared))
        known = files
        assert load_parquet(lake, "files", path, events=True).events == 0
    frame = pd.read_parquet(events)
    assert sorted(frame["date"].astype(str)) == ["2024-03-01"] * 3 + ["2024-03-02"]
    assert len(pd.read_parquet(path)) == 3
    assert sorted(folder.name.rpartition(".v")[0] for folder in events.parent.glob("*.v*")) == [
        *["profiles"] * 2,
        *["profiles_amplitude_events"] * 2,
    ]
    erase_old("files", ParquetDestination(type="parquet", path=path, events=True), ["amplitude_events"])
    assert len(list(events.parent.glob("*.v*"))) == 2
    assert len(pd.read_parquet(events)) == 4


def test_people_leave_events_that_were_switched_off(database: str, steps: list[Lake], tmp_path: Path) -> None:
    """What is held is brought up to date when people are forgotten, and no load is added."""
    path = tmp_path / "files/profiles"
    expected = [*FIRST, AFTER[1]]
    load_sql(steps[0], "db", database, "profiles", events=True)
    load_parquet(steps[0], "files", path, events=True)
    load_sql(steps[1], "db", database, "profiles")
    load_parquet(steps[1], "files", path)
    assert execute(database, EVENTS) == BEFORE
    for _ in range(2):
        load_sql(steps[1], "db", database, "profiles", beside=Beside(erasing=True))
        load_parquet(steps[1], "files", path, beside=Beside(erasing=True))
        assert execute(database, EVENTS) == expected
        found = duckdb.sql(f"SELECT load, \"user\", city, _key FROM read_parquet('{path}_amplitude_events/**/*.parquet') ORDER BY ALL")
        assert found.fetchall() == expected
    load_sql(steps[1], "db", database, "profiles", events=True)
    assert execute(database, EVENTS) == AFTER
