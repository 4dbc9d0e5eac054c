"""What a database holds, and what a lake says that it should hold, in one form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from etl.engines.local import rows
from etl.lake.layout import Lake
from etl.lake.tables import transaction_of
from etl.profiles.published import published_fields, published_query
from tests.profiles import lakes


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
    """What a database holds; None where it was never loaded. All of it is read in one transaction."""
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if url.startswith("postgresql") else {}
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool, **options)
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table(f"{table}_state"):
            return None
        metadata = sa.MetaData()
        profiles, identifiers, state = (sa.Table(name, metadata, autoload_with=connection) for name in _names(table))
        (build,) = connection.execute(sa.select(state.c.build)).scalars().all()
        found = [dict(row) for row in connection.execute(sa.select(profiles)).mappings()]
        owners = connection.execute(sa.select(identifiers.c.namespace, identifiers.c.value, identifiers.c.profile_id)).all()
    plain = {row["profile_id"]: {name: _plain(value) for name, value in row.items()} for row in found}
    assert len(plain) == len(found)
    return Contents(build, plain, {(namespace, value): owner for namespace, value, owner in owners})


def execute(url: str, statement: str) -> list[Any]:
    """Runs one statement of a database's owner."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return list(result.all()) if result.returns_rows else []


def _names(table: str) -> tuple[str, str, str]:
    return table, f"{table}_identifiers", f"{table}_state"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    if isinstance(value, dict):
        return {key: item.isoformat() if isinstance(item, datetime) else item for key, item in value.items()}
    if isinstance(value, list):
        return [item.isoformat() if isinstance(item, datetime) else item for item in value]
    return value
