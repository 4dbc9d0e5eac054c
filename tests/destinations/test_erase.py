"""Deleted rows leave the pages of a database too."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from etl.destinations.erase import erase_old
from etl.destinations.sql import load_sql
from etl.errors import TransientError
from etl.jobs import SqlDestination
from etl.lake.layout import Lake
from etl.profiles.build import build_profiles
from tests.profiles import lakes


def _record(user: str, time: int) -> dict[str, object]:
    return {"user": user, "device": f"device-of-{user}", "time": time, "city": "Oslo", "props": {"nick": user}, "type": "buy"}


def test_no_page_holds_who_was_deleted(database: str, tmp_path: Path) -> None:
    lake, mapping = Lake(tmp_path / "lake"), lakes.mapping_in(tmp_path)
    people = [_record(f"person-{number}", number) for number in range(60)]
    lakes.load(lake, mapping, {0: people})
    build_profiles(lake)
    load_sql(lake, "db", database, "profiles", events=True)
    lakes.load(lake, mapping, {0: people[1:]})
    build_profiles(lake)
    load_sql(lake, "db", database, "profiles", events=True)
    engine = sa.create_engine(database.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    before = _files_of(engine)
    erase_old("db", SqlDestination(type="sql", url=SecretStr(database), events=True), ["amplitude_events"])
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM profiles")).scalar() == 59
    if engine.dialect.name == "sqlite":
        content = Path(str(engine.url.database)).read_bytes()
        assert b"person-0" not in content and b"person-1" in content
    else:
        assert len(before | _files_of(engine)) == 6, "a table that was not written anew keeps its file"


def _files_of(engine: sa.Engine) -> set[int]:
    """The numbers of the files in which PostgreSQL keeps the tables."""
    if engine.dialect.name == "sqlite":
        return set()
    with engine.connect() as connection:
        names = ("profiles", "profiles_identifiers", "profiles_amplitude_events")
        return {
            connection.execute(sa.text("SELECT pg_relation_filenode(CAST(:name AS regclass))"), {"name": name}).scalar() for name in names
        }


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    away = SqlDestination(type="sql", url=SecretStr(f"sqlite:///{tmp_path / 'no/such/folder.db'}"))
    with pytest.raises(TransientError, match=r"did not free the pages of deleted rows .destination db"):
        erase_old("db", away)
