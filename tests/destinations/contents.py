"""What a database holds, and what a lake says that it should hold, in one form."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from etl.engines.local import rows
from etl.lake.layout import Lake
from etl.lake.tables import transaction_of
from etl.profiles.published import published_fields, published_query
from tests.profiles import lakes

_SQLITE_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@dataclass(frozen=True)
class Contents:
    """Build, profiles by id (dates in UTC, maps as dicts), and identifiers."""

    build: int
    profiles: dict[str, dict[str, Any]] = field(repr=False)
    identifiers: dict[tuple[str, str], str] = field(repr=False)


def of_lake(lake: Lake) -> Contents:
    """What its destinations should hold."""
    maps = {one.name for one in published_fields(lake) if one.kind.is_map}
    with lake.workspace() as (connection, _):
        found = rows(connection, published_query(lake))
    profiles = {}
    for row in found:
        values = {name: dict(value) if name in maps and value is not None else value for name, value in row.items()}
        profiles[row["profile_id"]] = {name: _plain(value) for name, value in values.items()}
    published = {key: owner for key, owner in lakes.read_identifiers(lake).items() if owner in profiles}
    return Contents(transaction_of(lake.profiles, "build") or 0, profiles, published)


def of_database(url: str, table: str = "profiles") -> Contents | None:
    """What a database holds; None where it was never loaded. All of it is read in one transaction, by its own driver."""
    with _connect(url) as connection:
        if url.startswith("postgresql"):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            tables = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = "
        else:
            connection.execute("BEGIN")
            tables = "SELECT 1 FROM sqlite_master WHERE name = "
        if connection.execute(f"{tables} '{table}_state'").fetchone() is None:
            return None
        ((build,),) = connection.execute(f'SELECT build FROM "{table}_state"').fetchall()
        found = connection.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in found.description]
        profiles = {row[0]: {name: _plain(value) for name, value in zip(names, row, strict=True)} for row in found.fetchall()}
        owners = connection.execute(f'SELECT namespace, value, profile_id FROM "{table}_identifiers"').fetchall()
    return Contents(build, profiles, {(namespace, value): owner for namespace, value, owner in owners})


def execute(url: str, statement: str) -> list[Any]:
    """Runs one statement of a database's owner."""
    with _connect(url) as connection:
        result = connection.execute(statement)
        return result.fetchall() if result.description else []


@contextmanager
def _connect(url: str) -> Iterator[Any]:
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            yield file


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    if isinstance(value, str) and _SQLITE_DATE.fullmatch(value):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if isinstance(value, dict):
        return {key: item.isoformat() if isinstance(item, datetime) else item for key, item in value.items()}
    if isinstance(value, list):
        return [item.isoformat() if isinstance(item, datetime) else item for item in value]
    return value
