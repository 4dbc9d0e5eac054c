"""The destination `sql`: tables of any database that SQLAlchemy speaks to, changed in one transaction.

`<table>` has one row per profile: typed columns, maps as JSON. `<table>_identifiers` leads from any identifier to its
profile. `<table>_state` tells which build they hold, so that the next load writes only what changed since.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from etl.engines.local import Connection, rows
from etl.errors import ConfigurationError, TransientError
from etl.lake.layout import Lake
from etl.lake.tables import files_of, relation, transaction_of
from etl.mapping.kinds import Kind
from etl.profiles.fields import ProfileField
from etl.profiles.published import published_fields, published_query
from etl.reports import LoadReport

_TYPES: dict[str, Any] = {
    "string": sa.Text(),
    "int": sa.BigInteger(),
    "number": sa.Double(),
    "bool": sa.Boolean(),
    "date": sa.DateTime(timezone=True),
}
_BATCH = 1000


def load_sql(lake: Lake, name: str, url: str, table: str) -> LoadReport:
    """Brings the tables up to the current build: upserts and deletes since the one they hold, or everything."""
    try:
        engine = sa.create_engine(url, hide_parameters=True)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            "the database URL cannot be used",
            where={"destination": name},
            value=type(error).__name__,
            next_step="write it as dialect+driver://user:password@host/database and install the driver",
        ) from error
    shown = engine.url.render_as_string(hide_password=True)
    try:
        if engine.url.get_backend_name() == "sqlite" and engine.url.database:
            _make_folder(engine.url.database)
        return _Load(lake, name, engine, table, shown).run()
    except sa.exc.OperationalError as error:
        raise TransientError(
            "the database did not take the profiles",
            where={"destination": name, "url": shown},
            value=str(error.orig),
            next_step="check that it runs and may be written; then run again",
        ) from error
    except sa.exc.DBAPIError as error:
        raise ConfigurationError(
            "the database refused the profiles",
            where={"destination": name, "url": shown},
            value=str(error.orig),
            next_step="see its message; the tables are as before",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "the destination cannot be written",
            where={"destination": name},
            value=str(error),
            next_step="correct its URL or the folder's permissions",
        ) from error
    finally:
        engine.dispose()


class _Load:
    def __init__(self, lake: Lake, name: str, engine: sa.Engine, table: str, shown: str) -> None:
        self.lake, self.name, self.engine, self.shown = lake, name, engine, shown
        self.fields = published_fields(lake)
        self.build = transaction_of(lake.profiles, "build") or 0
        opened = lake.profiles.open()
        self.source = "" if opened is None else str(opened.metadata().id)
        metadata = sa.MetaData()
        self.profiles = _profiles_table(metadata, table, self.fields)
        self.identifiers = _identifiers_table(metadata, f"{table}_identifiers")
        self.state = _state_table(metadata, f"{table}_state")

    def run(self) -> LoadReport:
        for table in (self.profiles, self.identifiers, self.state):
            table.create(self.engine, checkfirst=True)
        widened = self._add_columns()
        with self.engine.begin() as database:
            held = database.execute(sa.select(self.state.c.source, self.state.c.build)).one_or_none()
            if held is not None and tuple(held) == (self.source, self.build) and not widened:
                return LoadReport(self.name, 0, 0, False, self.shown)
            since = None if held is None or widened or held.source != self.source else int(held.build)
            changed = None if since is None else self._changes_since(since)
            with self.lake.workspace() as (connection, _):
                written, deleted = self._apply(database, connection, changed)
            database.execute(sa.delete(self.state))
            database.execute(
                sa.insert(self.state),
                [{"source": self.source, "build": self.build, "loaded_at": datetime.now(UTC).replace(tzinfo=None)}],
            )
        return LoadReport(self.name, written, deleted, changed is None, self.shown)

    def _changes_since(self, since: int) -> str | None:
        """SQL for the ids changed since a build; None where a build's changes are not known any more."""
        files = [file for file in files_of(self.lake.changes) if since < int(file.partition["build"]) <= self.build]
        if since > self.build or {int(file.partition["build"]) for file in files} != set(range(since + 1, self.build + 1)):
            return None
        source = relation(self.lake.changes, (file.path for file in files))
        return f"SELECT DISTINCT profile_id FROM {source}" if source else "SELECT '' AS profile_id WHERE FALSE"

    def _apply(self, database: sa.Connection, connection: Connection, changed: str | None) -> tuple[int, int]:
        published = published_query(self.lake)
        deleted = 0
        if changed is None:
            database.execute(sa.delete(self.profiles))
            database.execute(sa.delete(self.identifiers))
        else:
            ids = [row["profile_id"] for row in rows(connection, changed)]
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                deleted += database.execute(sa.delete(self.profiles).where(self.profiles.c.profile_id.in_(batch))).rowcount
                database.execute(sa.delete(self.identifiers).where(self.identifiers.c.profile_id.in_(batch)))
            published = f"SELECT * FROM ({published}) SEMI JOIN ({changed}) USING (profile_id)"
        written = 0
        for batch in _batches(connection, published):
            database.execute(sa.insert(self.profiles), [self._row(row) for row in batch])
            written += len(batch)
        source = relation(self.lake.profiles, (file.path for file in files_of(self.lake.profiles)))
        if source is not None:
            unnested = f"SELECT profile_id, unnest(_identifiers) AS i FROM {source} SEMI JOIN ({published}) USING (profile_id)"
            ids_query = f"SELECT profile_id, i.namespace AS namespace, i.value AS value, i.first_seen AS first_seen FROM ({unnested})"
            for batch in _batches(connection, ids_query):
                database.execute(sa.insert(self.identifiers), [row | {"first_seen": _naive(row["first_seen"])} for row in batch])
        return written, max(0, deleted - written)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        made = dict(row)
        for name in ("first_seen", "last_seen"):
            made[name] = _naive(row[name])
        for field in self.fields:
            made[field.name] = _value(row[field.name], field.kind)
        return made

    def _add_columns(self) -> bool:
        """Adds the columns of new fields. Raises ConfigurationError for a column whose type does not fit the kind."""
        existing = {column["name"]: column["type"] for column in sa.inspect(self.engine).get_columns(self.profiles.name)}
        missing = [column for column in self.profiles.columns if column.name not in existing]
        for column in self.profiles.columns:
            known = existing.get(column.name)
            if known is not None and _family(known) != _family(column.type):
                raise ConfigurationError(
                    f"the column {column.name} of the database has another type than the field",
                    where={"destination": self.name, "table": self.profiles.name},
                    value=f"{known} there, {column.type} now",
                    next_step=f"drop the tables {self.profiles.name}, {self.identifiers.name} and {self.state.name}, "
                    "and run again: they are filled anew",
                )
        with self.engine.begin() as database:
            for column in missing:
                definition = CreateColumn(column).compile(dialect=self.engine.dialect)
                database.execute(
                    sa.text(f"ALTER TABLE {self.engine.dialect.identifier_preparer.format_table(self.profiles)} ADD COLUMN {definition}")
                )
        return bool(missing)


def _profiles_table(metadata: sa.MetaData, name: str, fields: list[ProfileField]) -> sa.Table[Any]:
    seen: list[sa.Column[Any]] = [sa.Column(column, sa.DateTime(timezone=True)) for column in ("first_seen", "last_seen")]
    columns: list[sa.Column[Any]] = [
        sa.Column(field.name, sa.JSON(none_as_null=True) if field.kind.is_map or field.kind.is_list else _TYPES[field.kind.name])
        for field in fields
    ]
    return sa.Table(name, metadata, sa.Column("profile_id", sa.String(32), primary_key=True), *seen, *columns)


def _identifiers_table(metadata: sa.MetaData, name: str) -> sa.Table[Any]:
    return sa.Table(
        name,
        metadata,
        sa.Column("namespace", sa.String(100), primary_key=True),
        sa.Column("value", sa.String(512), primary_key=True),
        sa.Column("profile_id", sa.String(32), nullable=False, index=True),
        sa.Column("first_seen", sa.DateTime(timezone=True)),
    )


def _state_table(metadata: sa.MetaData, name: str) -> sa.Table[Any]:
    columns: list[sa.Column[Any]] = [
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("build", sa.BigInteger()),
        sa.Column("loaded_at", sa.DateTime()),
    ]
    return sa.Table(name, metadata, *columns)


def _family(type_: sa.types.TypeEngine[Any]) -> str:
    """What a column holds, coarse enough that every database's own spelling of a type falls into place."""
    families: tuple[tuple[Any, str], ...] = (
        (sa.Boolean, "int"),  # MySQL reads its booleans back as small integers
        (sa.JSON, "json"),
        (sa.DateTime, "date"),
        (sa.Integer, "int"),
        (sa.Float, "number"),
        (sa.Numeric, "number"),
        (sa.String, "string"),
    )
    return next((family for class_, family in families if isinstance(type_, class_)), type(type_).__name__)


def _value(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind.is_map:
        return {key: item.isoformat() if isinstance(item, datetime) else item for key, item in value}
    if kind.is_list:
        return [item.isoformat() if isinstance(item, datetime) else item for item in value]
    return _naive(value) if kind.name == "date" else value


def _naive(moment: datetime | None) -> datetime | None:
    """UTC without a zone: what SQLite stores, and what the other databases take for UTC in their session."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _batches(connection: Connection, query: str) -> Iterator[list[dict[str, Any]]]:
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        if batch.num_rows:
            yield batch.to_pylist()


def _make_folder(database: str) -> None:
    if database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
