"""The tables of the destination `sql`: their columns, their names, and how they follow the fields of the lake.

`<table>` has one row per profile, `<table>_identifiers` leads from any identifier to its profile, `<table>_state` has
one row: which build the two hold, and which fields were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateColumn

from etl.errors import ConfigurationError
from etl.profiles.fields import ProfileField
from etl.profiles.published import KEYS

LONGEST_IDENTIFIER = 512  # characters: what every database indexes

DATE = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TYPES: dict[str, Any] = {
    "string": sa.Text(),
    "int": sa.BigInteger(),
    "number": sa.Double(),
    "bool": sa.Boolean(),
    "date": DATE,
}


@dataclass(frozen=True)
class Tables:
    """The three tables as they are to be. `name` is the one that the destination's option `table` names."""

    name: str
    profiles: sa.Table[Any]
    identifiers: sa.Table[Any]
    state: sa.Table[Any]

    @property
    def all(self) -> tuple[sa.Table[Any], ...]:
        return self.profiles, self.identifiers, self.state


@dataclass(frozen=True)
class Held:
    """What the database held before: build `build` of the table `source`, with these fields (name -> kind), events
    by stream with theirs, and memberships by the lake's files (with project and cohort); None where there never were any."""

    source: str
    build: int
    fields: dict[str, str]
    events: dict[str, dict[str, str]]
    memberships: dict[str, list[str]] | None = None


def tables_for(fields: Sequence[ProfileField], name: str) -> Tables:
    """The tables for profiles of these fields."""
    metadata = sa.MetaData()
    profiles = sa.Table(
        name,
        metadata,
        sa.Column("profile_id", sa.String(32), primary_key=True),
        *(sa.Column(column, DATE) for column in KEYS if column != "profile_id"),
        *field_columns(fields),
    )
    identifiers = sa.Table(
        f"{name}_identifiers",
        metadata,
        sa.Column("namespace", exact_text(100), primary_key=True),
        sa.Column("value", exact_text(LONGEST_IDENTIFIER), primary_key=True),
        sa.Column("profile_id", sa.String(32), nullable=False, index=True),
        sa.Column("first_seen", DATE),
    )
    state = sa.Table(
        f"{name}_state",
        metadata,
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("build", sa.BigInteger()),
        sa.Column("fields", sa.Text()),
        sa.Column("events", sa.Text()),
        sa.Column("memberships", sa.Text()),
        sa.Column("loaded_at", DATE),
    )
    return Tables(name, profiles, identifiers, state)


def exact_text(length: int) -> Any:
    """A text that is compared by its characters; MySQL's own way takes `U1` and `u1` for equal."""
    return sa.String(length).with_variant(sa.String(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def field_columns(fields: Iterable[ProfileField]) -> list[sa.Column[Any]]:
    return [sa.Column(field.name, _JSON if field.kind.is_map or field.kind.is_list else _TYPES[field.kind.name]) for field in fields]


def check_names(table: sa.Table[Any], dialect: sa.Dialect, destination: str) -> None:
    """Raises ConfigurationError for names that the database would cut off, and for columns that differ in case alone:
    most databases take those for one."""
    longest = dialect.max_identifier_length
    _refuse_long(table.name, longest, destination, "give the option `table` a shorter name")
    seen: dict[str, str] = {}
    for column in table.columns:
        _refuse_long(column.name, longest, destination, "give the field a shorter name in its mapping")
        other = seen.setdefault(column.name.casefold(), column.name)
        if other != column.name:
            raise ConfigurationError(
                "two fields differ in upper and lower case alone, which the database cannot tell apart",
                where={"destination": destination},
                value=f"{other}, {column.name}",
                next_step="give one of them another name in its mapping",
            )


def _refuse_long(name: str, longest: int, destination: str, next_step: str) -> None:
    length = len(name.encode())
    if length > longest:
        raise ConfigurationError(
            f"a name is longer than the database takes: {length} bytes, at most {longest}",
            where={"destination": destination},
            value=name,
            next_step=next_step,
        )


@dataclass(frozen=True)
class Existing:
    """How far the database has some tables: `absent` ones, `missing` columns of those that are there; what it holds."""

    absent: tuple[sa.Table[Any], ...]
    missing: tuple[sa.Column[Any], ...]
    held: Held | None = None


def inspect_tables(database: sa.Connection, tables: Tables, destination: str) -> Existing:
    """Looks at the three tables and changes nothing. Raises ConfigurationError as `compare_tables`, and for a table that
    somebody else filled."""
    held = _held(database, tables.state, destination)
    if held is None:
        refuse_foreign(database, (tables.profiles, tables.identifiers), destination)
    found = compare_tables(database, tables.all, destination)
    return Existing(found.absent, found.missing, held)


def _held(database: sa.Connection, state: sa.Table[Any], destination: str) -> Held | None:
    """What the table of the state tells; None where there is none, or nothing in it."""
    inspector = sa.inspect(database)
    if not inspector.has_table(state.name):
        return None
    existing = {column["name"] for column in inspector.get_columns(state.name)}
    if not {"source", "build"} <= existing:
        raise _foreign(state, destination)
    row = database.execute(sa.select(*(column for column in state.columns if column.name in existing))).mappings().one_or_none()
    if row is None:
        return None
    events = json.loads(row.get("events") or "{}")
    memberships = json.loads(row.get("memberships") or "null")
    return Held(row["source"], int(row["build"]), json.loads(row.get("fields") or "{}"), events, memberships)


def compare_tables(database: sa.Connection, tables: Iterable[sa.Table[Any]], destination: str) -> Existing:
    """Looks and changes nothing. Raises ConfigurationError for a column whose type does not fit its field, with the
    statement that makes way for another one."""
    inspector = sa.inspect(database)
    absent: list[sa.Table[Any]] = []
    missing: list[sa.Column[Any]] = []
    for table in tables:
        if not inspector.has_table(table.name):
            absent.append(table)
            continue
        existing = {column["name"]: column["type"] for column in inspector.get_columns(table.name)}
        missing += [column for column in table.columns if column.name not in existing]
        _refuse_other_types(database, table, existing, destination)
    return Existing(tuple(absent), tuple(missing))


def _refuse_other_types(database: sa.Connection, table: sa.Table[Any], existing: dict[str, Any], destination: str) -> None:
    for column in table.columns:
        known = existing.get(column.name)
        wanted = column.type.dialect_impl(database.dialect)
        if known is None or _family(known, database.dialect) == _family(wanted, database.dialect):
            continue
        quote = database.dialect.identifier_preparer
        raise ConfigurationError(
            f"the column {column.name} of the database has another type than the field",
            where={"destination": destination, "table": table.name},
            value=f"{known} there, {wanted.compile(database.dialect)} now",
            next_step="run this in the database, then run again (the column is made and filled anew): "
            f"ALTER TABLE {quote.format_table(table)} DROP COLUMN {quote.format_column(column)}",
        )


def refuse_foreign(database: sa.Connection, tables: Iterable[sa.Table[Any]], destination: str) -> None:
    """Raises ConfigurationError for tables with rows in them, which our state does not tell of: a load would delete them."""
    inspector = sa.inspect(database)
    for table in tables:
        # Of a foreign table no column is known.
        any_row = sa.select(sa.literal(1)).select_from(sa.table(table.name)).limit(1)
        if inspector.has_table(table.name) and database.execute(any_row).first() is not None:
            raise _foreign(table, destination)


def _foreign(table: sa.Table[Any], destination: str) -> ConfigurationError:
    return ConfigurationError(
        "the database has a table of that name that Profilemill did not fill",
        where={"destination": destination},
        value=table.name,
        next_step="choose another name with the option `table`, or drop the table",
    )


def evolve(database: sa.Connection, existing: Existing) -> None:
    """Makes the tables and columns that are missing; new columns are nullable."""
    for table in existing.absent:
        table.create(database)
    preparer = database.dialect.identifier_preparer
    for column in existing.missing:
        definition = CreateColumn(column).compile(dialect=database.dialect)
        database.exec_driver_sql(f"ALTER TABLE {preparer.format_table(column.table)} ADD COLUMN {definition}")


def write_state(database: sa.Connection, tables: Tables, now: Held, before: Held | None) -> None:
    """Says what the tables hold from now on."""
    time = datetime.now(UTC)
    if before is not None:
        database.execute(sa.delete(tables.state))
    row = {
        "source": now.source,
        "build": now.build,
        "fields": json.dumps(now.fields),
        "events": json.dumps(now.events),
        "memberships": None if now.memberships is None else json.dumps(now.memberships),
        "loaded_at": time if database.dialect.name == "postgresql" else time.replace(tzinfo=None),
    }
    database.execute(sa.insert(tables.state), [row])


def kinds_of(fields: Iterable[ProfileField]) -> dict[str, str]:
    return {field.name: field.kind_name for field in fields}


def _family(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str:
    """What a column holds, coarse enough that every database's own spelling of a type falls into place."""
    mysql = dialect.name in ("mysql", "mariadb")
    families: tuple[tuple[Any, str], ...] = (
        (sa.Boolean, "bool" if dialect.name in ("postgresql", "sqlite") else "int"),
        (JSONB, "jsonb"),
        (sa.JSON, "long text" if mysql else "json"),
        (LONGTEXT, "long text"),  # how MariaDB stores JSON
        (sa.DateTime, "date"),
        (sa.Date, "day"),
        (sa.Integer, "int"),
        (sa.Float, "number"),
        (sa.Numeric, "number"),
        (sa.String, "string"),
    )
    return next((family for class_, family in families if isinstance(type_, class_)), type(type_).__name__)
