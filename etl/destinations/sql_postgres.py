"""PostgreSQL: COPY into temporary tables, then one statement each for who is gone, who is new, and what differs.

Rows that are equal already are left alone, so that a load of everything makes no dead rows where nothing changed.
Readers are held up for as long as a new column is added, and never see a part of a load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, cast

import psycopg
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from psycopg import sql

from etl.destinations.sql_rows import Counts, Rows, batches
from etl.destinations.sql_tables import Existing, Tables, evolve
from etl.engines.local import Connection

Driver = psycopg.Connection[Any]

_CSV = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")  # null is what has no quotes
_IDS = 100_000


def url_for(url: sa.URL) -> sa.URL:
    """The URL with the one driver that this module speaks to."""
    return url.set(drivername="postgresql+psycopg")


@contextmanager
def transaction(engine: sa.Engine, table: str) -> Iterator[sa.Connection]:
    """A transaction that no other load of the same table runs beside: a second one waits here."""
    with engine.begin() as database:
        number = int.from_bytes(hashlib.sha256(f"profilemill {table}".encode()).digest()[:8], signed=True)
        database.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
        yield database


def apply(database: sa.Connection, connection: Connection, tables: Tables, existing: Existing, rows: Rows) -> Counts:
    """Brings the tables up to the rows: all of them, or those that changed."""
    return _Apply(database, connection, tables, rows).run(existing)


def append(database: sa.Connection, connection: Connection, table: sa.Table[Any], query: str, counts: Counts) -> int:
    """Adds the rows of a query to a table; how many."""
    columns = [column.name for column in table.columns]
    return _copy(_driver(database), batches(connection, query, counts), sql.Identifier(table.name), columns)


def vacuum(database: sa.Connection, tables: Iterable[str]) -> None:
    """Writes tables anew without their deleted rows. The connection commits each statement by itself."""
    for table in tables:
        # Not by SQLAlchemy, which takes `:` and `%` in a name for parameters.
        _driver(database).execute(sql.SQL("VACUUM FULL {}").format(sql.Identifier(table)))


def _copy(driver: Driver, found: Iterable[pa.RecordBatch], target: sql.Composable, columns: list[str]) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(target, names)
    count = 0
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in found:
            text = pa.BufferOutputStream()
            pyarrow.csv.write_csv(batch.select(columns), text, _CSV)
            copy.write(text.getvalue().to_pybytes())
            count += batch.num_rows
    return count


def _driver(database: sa.Connection) -> Driver:
    return cast(Driver, database.connection.driver_connection)


class _Apply:
    def __init__(self, database: sa.Connection, connection: Connection, tables: Tables, rows: Rows) -> None:
        self.database, self.connection, self.tables, self.rows = database, connection, tables, rows
        self.driver = _driver(database)
        self.counts = Counts()

    def run(self, existing: Existing) -> Counts:
        if {self.tables.profiles, self.tables.identifiers} <= set(existing.absent):
            evolve(self.database, existing)
            self.counts.written = self._copy(self.rows.profiles, self.tables.profiles)
            self._copy(self.rows.identifiers, self.tables.identifiers)
            return self.counts
        profiles, identifiers = self._stage(self.tables.profiles, "profiles"), self._stage(self.tables.identifiers, "identifiers")
        self._copy(self.rows.profiles, profiles)
        self._copy(self.rows.identifiers, identifiers)
        among = self._stage_changed()
        # Only now, since it locks readers out until the end.
        evolve(self.database, existing)
        self.counts.deleted = self._delete(self.tables.profiles, profiles, among)
        self._delete(self.tables.identifiers, identifiers, among)
        self.counts.written = self._upsert(self.tables.profiles, profiles)
        self._upsert(self.tables.identifiers, identifiers)
        return self.counts

    def _stage(self, like: sa.Table[Any], name: str) -> sa.Table[Any]:
        """A temporary table with the same columns."""
        columns: list[sa.Column[Any]] = [sa.Column(column.name, column.type) for column in like.columns]
        made = sa.Table(f"_incoming_{name}", sa.MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")
        made.create(self.database)
        return made

    def _stage_changed(self) -> sql.Composable | None:
        """A temporary table of the ids that changed; None where everything is loaded."""
        if self.rows.changed is None:
            return None
        name = sql.Identifier("_incoming_changed")
        self._execute("CREATE TEMPORARY TABLE {} (profile_id VARCHAR(32)) ON COMMIT DROP", name)
        _copy(self.driver, self.connection.sql(self.rows.changed).to_arrow_reader(_IDS), name, ["profile_id"])
        return name

    def _copy(self, query: str, target: sa.Table[Any]) -> int:
        return append(self.database, self.connection, target, query, self.counts)

    def _delete(self, target: sa.Table[Any], incoming: sa.Table[Any], among: sql.Composable | None) -> int:
        """Deletes the rows whose key is not incoming, of the changed profiles or of all."""
        keys = [column.name for column in target.primary_key]
        equal = sql.SQL(" AND ").join(sql.SQL("i.{0} = t.{0}").format(sql.Identifier(key)) for key in keys)
        where = sql.SQL("NOT EXISTS (SELECT FROM {} i WHERE {})").format(sql.Identifier(incoming.name), equal)
        if among is not None:
            where = sql.SQL("t.profile_id IN (SELECT profile_id FROM {}) AND {}").format(among, where)
        return self._execute("DELETE FROM {} t WHERE {}", sql.Identifier(target.name), where)

    def _upsert(self, target: sa.Table[Any], incoming: sa.Table[Any]) -> int:
        """Inserts the incoming rows that are new and updates those that differ; how many."""
        keys = [sql.Identifier(column.name) for column in target.primary_key]
        columns = [sql.Identifier(column.name) for column in target.columns]
        others = [sql.Identifier(column.name) for column in target.columns if not column.primary_key]
        comma = sql.SQL(", ")
        return self._execute(
            """INSERT INTO {target} ({columns})
            SELECT {chosen} FROM {incoming} i LEFT JOIN {target} t USING ({keys})
            WHERE t.profile_id IS NULL OR ROW({held}) IS DISTINCT FROM ROW({new})
            ON CONFLICT ({keys}) DO UPDATE SET {changes}""",
            target=sql.Identifier(target.name),
            incoming=sql.Identifier(incoming.name),
            keys=comma.join(keys),
            columns=comma.join(columns),
            chosen=comma.join(sql.SQL("i.{}").format(column) for column in columns),
            held=comma.join(sql.SQL("t.{}").format(column) for column in others),
            new=comma.join(sql.SQL("i.{}").format(column) for column in others),
            changes=comma.join(sql.SQL("{0} = excluded.{0}").format(column) for column in others),
        )

    def _execute(self, statement: LiteralString, *parts: sql.Composable, **named: sql.Composable) -> int:
        with self.driver.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(*parts, **named))
            return cursor.rowcount
