"""SQLite, MySQL, MariaDB, and whatever else SQLAlchemy speaks to: rows deleted, inserted or updated one batch at a time."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from etl.destinations.sql_rows import Counts, Rows, batches
from etl.destinations.sql_tables import Existing, Tables, evolve
from etl.engines.local import Connection, arrow
from etl.leftovers import own_name, remove_leftovers

_IDS = 500  # in one DELETE; some databases take no more than 999 values


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction. SQLite's takes the write lock at its beginning, and so reads what the load before it wrote."""
    if engine.dialect.name == "sqlite":
        if engine.url.database and engine.url.database != ":memory:":
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        sa.event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as database:
        yield database


@contextmanager
def appearing(url: sa.URL) -> Iterator[sa.URL]:
    """The URL to load. A SQLite file that is not there yet is filled under another name and appears with everything in it:
    a first connection makes an empty file, which is all that readers would find where a load is killed. Raises
    FileExistsError where somebody else made the file meanwhile; then it has to be loaded."""
    path = _new_file(url)
    if path is None:
        yield url
        return
    prefix = f".{path.name}."
    remove_leftovers(path.parent, prefix)
    part = path.with_name(prefix + own_name(secrets.token_hex(4)))
    try:
        yield url.set(database=str(part))
        if part.exists():
            _put(part, path)
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + ending).unlink(missing_ok=True)


def _put(part: Path, path: Path) -> None:
    """Gives the file its name, unless there is one of that name."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)


def _new_file(url: sa.URL) -> Path | None:
    """The SQLite file that a connection would make."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":memory:", "file:")):
        return None
    path = Path(url.database)
    return None if path.exists() else path


def _leave_transactions_to_us(driver: Any, _: object) -> None:
    # Else the driver would begin its transaction at the first change only, after what was read.
    driver.isolation_level = None


def _begin_immediate(database: sa.Connection) -> None:
    database.exec_driver_sql("BEGIN IMMEDIATE")


def apply(database: sa.Connection, connection: Connection, tables: Tables, existing: Existing, rows: Rows) -> Counts:
    """Brings the tables up to the rows: all of them, or those that changed."""
    evolve(database, existing)
    counts = Counts()
    if rows.changed is None:
        held = pa.table({"profile_id": pa.array(database.execute(sa.select(tables.profiles.c.profile_id)).scalars(), pa.string())})
        connection.register("held_ids", held)
        database.execute(sa.delete(tables.identifiers))
    else:
        _delete(database, tables.identifiers, _ids(connection, rows.changed))
    before = rows.changed or "SELECT profile_id FROM held_ids"
    gone = f"SELECT profile_id FROM ({before}) ANTI JOIN ({rows.profiles}) USING (profile_id)"
    counts.deleted = _delete(database, tables.profiles, _ids(connection, gone))
    for batch in batches(connection, rows.profiles, counts):
        counts.written += _write(database, tables.profiles, batch)
    for batch in batches(connection, rows.identifiers, counts):
        _write(database, tables.identifiers, batch)
    return counts


def append(database: sa.Connection, connection: Connection, table: sa.Table[Any], query: str, counts: Counts) -> int:
    """Adds the rows of a query to a table; how many."""
    return sum(_execute_many(database, table, sa.insert(_plain(table)), batch) for batch in batches(connection, query, counts))


def _ids(connection: Connection, query: str) -> list[str]:
    found: list[str] = arrow(connection, query)["profile_id"].to_pylist()
    return found


def _delete(database: sa.Connection, table: sa.Table[Any], ids: Sequence[str]) -> int:
    deleted = 0
    for start in range(0, len(ids), _IDS):
        deleted += database.execute(sa.delete(table).where(table.c.profile_id.in_(ids[start : start + _IDS]))).rowcount
    return deleted


def _write(database: sa.Connection, table: sa.Table[Any], batch: pa.RecordBatch) -> int:
    """Inserts rows or, where the database can say it in one statement, updates those that are there."""
    statement = _upsert(database, table)
    if statement is None:
        _delete(database, table, batch["profile_id"].to_pylist())
        statement = sa.insert(_plain(table))
    return _execute_many(database, table, statement, batch)


def _execute_many(database: sa.Connection, table: sa.Table[Any], statement: sa.Insert, batch: pa.RecordBatch) -> int:
    columns = [column.name for column in table.columns]
    values = [_driver_values(batch[name], database.dialect.name) for name in columns]
    compiled = statement.compile(dialect=database.dialect, column_keys=columns)
    if compiled.positional:
        order = [columns.index(name) for name in compiled.positiontup or ()]
        database.exec_driver_sql(str(compiled), list(zip(*(values[place] for place in order), strict=True)))
    else:
        database.execute(statement, [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)])
    return int(batch.num_rows)


def _upsert(database: sa.Connection, table: sa.Table[Any]) -> sa.Insert | None:
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    if database.dialect.name == "sqlite":
        insert = sqlite.insert(_plain(table))
        return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in others})
    if database.dialect.name in ("mysql", "mariadb"):
        replace = mysql.insert(_plain(table))
        return replace.on_duplicate_key_update({name: replace.inserted[name] for name in others})
    return None


def _plain(table: sa.Table[Any]) -> Any:
    """The table as the driver sees it: JSON is a text already."""
    columns = [sa.column(column.name, sa.Text() if isinstance(column.type, sa.JSON) else column.type) for column in table.columns]
    return sa.table(table.name, *columns)


def _driver_values(column: pa.Array, dialect: str) -> list[Any]:
    """Dates as UTC without a zone: SQLite stores text, and the others take them for UTC in their session."""
    if pa.types.is_timestamp(column.type) and dialect == "sqlite":
        column = column.cast(pa.timestamp("us")).cast(pa.string())
    if pa.types.is_date(column.type) and dialect == "sqlite":
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()  # many times faster than to_pylist
        return texts
    values: list[Any] = column.to_pylist()
    if pa.types.is_timestamp(column.type):
        return [None if moment is None else moment.astimezone(UTC).replace(tzinfo=None) for moment in values]
    return values
