"""Cohort memberships in destinations: the lake's table, cohort by cohort, together with the profiles or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from etl.destinations.beside import Beside
from etl.destinations.parquet import load_parquet
from etl.destinations.sql import load_sql
from etl.errors import ConfigurationError
from etl.pipeline.profiles import build
from etl.profiles.memberships import read_memberships
from etl.reports import LoadReport
from tests.destinations.contents import execute
from tests.pipeline.shops import FIRST, Shop, running_shop

pytestmark = pytest.mark.xdist_group("postgres")

COLUMNS = 'cohort_id, cohort_name, amplitude_id, amplitude_user_id, entered, "left"'
WITH, WITHOUT, ERASING = Beside(memberships=True), Beside(), Beside(erasing=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path / "shop") as running:
        running.cohort("a", ["1001", "1002"], FIRST, name="Buyers, \0")
        running.cohort("b", ["1003"], FIRST + 1)
        _import(running)
        yield running


def _import(shop: Shop) -> None:
    shop.run()
    build(shop.project)


def _in_lake(shop: Shop) -> list[tuple[Any, ...]]:
    names = ("cohort_id", "cohort_name", "amplitude_id", "amplitude_user_id", "entered", "left")
    return sorted((tuple(row[name] for name in names) for row in read_memberships(shop.project.lake)), key=str)


def _in_database(url: str) -> list[tuple[Any, ...]]:
    found = execute(url, f"SELECT {COLUMNS} FROM profiles_cohort_memberships")
    return sorted((tuple(_plain(value) for value in row) for row in found), key=str)


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[4:5] == "-":
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _without_nul(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row) for row in rows]


def test_a_cohort_that_changes_is_written_again(shop: Shop, database: str) -> None:
    def load(beside: Beside = WITH, mode: Any = "changes") -> LoadReport:
        return load_sql(shop.project.lake, "db", database, "profiles", mode, beside=beside)

    assert load(WITHOUT).memberships == 0
    assert [load().memberships, load().memberships] == [3, 0], "switched on later; then nothing to do"
    assert _in_database(database) == _without_nul(_in_lake(shop))
    shop.cohort("a", ["1002", "1004"], FIRST + 10, name="Buyers")
    _import(shop)
    assert load().memberships == 3, "one left, one stayed, one came"
    assert _in_database(database) == _without_nul(_in_lake(shop))
    assert [row[2] for row in _in_database(database) if row[5] is not None] == ["1001"]
    assert load(mode="full").memberships == 4
    assert _in_database(database) == _without_nul(_in_lake(shop))
    page = (Path(__file__).parents[2] / "docs/destinations.md").read_text(encoding="utf-8")
    *_, members = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert sorted(map(tuple, execute(database, members))) == [("Buyers", 2), ("b", 1)]
    execute(database, "DROP TABLE profiles_cohort_memberships")
    assert load().memberships == 4
    assert _in_database(database) == _without_nul(_in_lake(shop))


def test_what_is_switched_off_stays_as_it_is_until_people_are_forgotten(shop: Shop, database: str, tmp_path: Path) -> None:
    lake, path = shop.project.lake, tmp_path / "files/profiles"
    load_sql(lake, "db", database, "profiles", beside=WITH)
    load_parquet(lake, "files", path, beside=WITH)
    before = _in_database(database)
    shop.cohort("b", ["1005"], FIRST + 10)
    _import(shop)
    load_sql(lake, "db", database, "profiles")
    load_parquet(lake, "files", path)
    assert (_in_database(database), len(_in_folder(path))) == (before, 3)
    assert load_sql(lake, "db", database, "profiles", beside=ERASING).memberships == 2
    assert load_parquet(lake, "files", path, beside=ERASING).memberships == 4
    assert _in_database(database) == _without_nul(_in_folder(path)) == _without_nul(_in_lake(shop))
    execute(database, "DROP TABLE profiles_cohort_memberships")
    assert load_sql(lake, "db", database, "profiles", beside=ERASING).memberships == 0, "what was dropped is not made again"


def _in_folder(path: Path) -> list[tuple[Any, ...]]:
    folder = path.with_name(f"{path.name}_cohort_memberships")
    query = f"SELECT {COLUMNS} FROM read_parquet('{folder}/*.parquet')"
    found = duckdb.sql(query).to_arrow_table().to_pylist()
    return sorted((tuple(_plain(value) for value in row.values()) for row in found), key=str)


def test_the_folder(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "files/profiles"
    reports = [load_parquet(shop.project.lake, "files", path, beside=WITH) for _ in range(2)]
    assert [(report.full, report.memberships) for report in reports] == [(True, 3), (False, 0)]
    assert _in_folder(path) == _in_lake(shop)
    shop.cohort("a", ["1002", "1004"], FIRST + 10)
    _import(shop)
    assert load_parquet(shop.project.lake, "files", path, beside=WITH).memberships == 4
    assert _in_folder(path) == _in_lake(shop)


def test_they_change_with_the_profiles_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'out/profiles.db'}"
    load_sql(shop.project.lake, "db", url, "profiles", beside=WITH)
    before = _in_database(url), execute(url, "SELECT * FROM profiles ORDER BY 1")
    execute(url, "CREATE TRIGGER crash BEFORE INSERT ON profiles_state BEGIN SELECT RAISE(ABORT, 'crash'); END")
    shop.cohort("a", ["1002", "1004"], FIRST + 10)
    _import(shop)
    with pytest.raises(ConfigurationError, match="the database refused the profiles"):
        load_sql(shop.project.lake, "db", url, "profiles", beside=WITH)
    assert (_in_database(url), execute(url, "SELECT * FROM profiles ORDER BY 1")) == before
    execute(url, "DROP TRIGGER crash")
    load_sql(shop.project.lake, "db", url, "profiles", beside=WITH)
    assert _in_database(url) == _without_nul(_in_lake(shop))


def test_a_table_of_somebody_else_is_left_alone(shop: Shop, database: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    execute(database, "CREATE TABLE profiles_cohort_memberships (scope INTEGER)")
    execute(database, "INSERT INTO profiles_cohort_memberships VALUES (1)")
    with pytest.raises(ConfigurationError, match="that Profilemill did not fill"):
        load_sql(shop.project.lake, "db", database, "profiles", beside=WITH)
    assert execute(database, "SELECT * FROM profiles_cohort_memberships") == [(1,)]
