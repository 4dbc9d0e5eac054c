"""The destination `sql`: tables of a database named by an SQLAlchemy URL, changed in one transaction.

The tables are described in `sql_tables`. `sql_postgres` writes to PostgreSQL, `sql_portable` to every other database.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from etl.destinations import sql_portable
from etl.destinations.beside import NOTHING, Beside
from etl.destinations.events import current_events
from etl.destinations.memberships import NAME as MEMBERSHIPS
from etl.destinations.memberships import current_memberships
from etl.destinations.sql_events import Append, EventLoad, fields_of
from etl.destinations.sql_memberships import MembershipLoad
from etl.destinations.sql_rows import Counts, Rows, rows_of
from etl.destinations.sql_tables import Existing, Held, Tables, check_names, inspect_tables, kinds_of, tables_for, write_state
from etl.engines.local import Connection
from etl.errors import ConfigurationError, ProfilemillError, TransientError
from etl.lake.layout import Lake
from etl.profiles.versions import Version, changed_since, current_version, written_since
from etl.reports import LoadReport

_SQLITE_WAIT = 60  # seconds, for another load to end

Mode = Literal["changes", "full"]


@dataclass(frozen=True)
class _Database:
    """An engine, and how its database is written to."""

    engine: sa.Engine
    shown: str
    transaction: Callable[[], AbstractContextManager[sa.Connection]]
    apply: Callable[[sa.Connection, Connection, Tables, Existing, Rows], Counts]
    append: Append


def load_sql(
    lake: Lake, name: str, url: str, table: str, mode: Mode = "changes", events: bool = False, beside: Beside = NOTHING
) -> LoadReport:
    """Brings the tables up to the newest build: people who changed since the build they hold, or everybody where the
    mode is `full`, where the changes are not known any more, or where a field is new. People who are gone are deleted.
    With `events` there is a table for each stream too, brought up to the loads in force; `beside` tells what else.

    Raises TransientError where the database is away or went away, ConfigurationError where it refuses; either way the
    tables are as they were.
    """
    parsed = _parsed(name, url)
    task = _Task(lake, name, table, mode, events, beside, parsed.render_as_string(hide_password=True))
    try:
        with sql_portable.appearing(parsed) as place:
            return _run(task, place)
    except FileExistsError:
        return _run(task, parsed)
    except OSError as error:
        raise _not_writable(name, error) from error


@dataclass(frozen=True)
class _Task:
    """What is to be loaded, as `load_sql` was asked for it; `shown` is the URL without its password."""

    lake: Lake
    name: str
    table: str
    mode: Mode
    events: bool
    beside: Beside
    shown: str


def _run(task: _Task, url: sa.URL) -> LoadReport:
    database = _open(task, url)
    driver_errors = (sa.exc.DBAPIError, database.engine.dialect.loaded_dbapi.Error)
    try:
        with database.transaction() as connection:
            return _load(task, database, connection)
    except driver_errors as error:
        raise _refusal(error, task.name, database) from error
    except OSError as error:
        raise _not_writable(task.name, error) from error
    finally:
        database.engine.dispose()


def _not_writable(name: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "the destination cannot be written",
        where={"destination": name},
        value=str(error),
        next_step="correct its URL or the folder's permissions",
    )


def _parsed(name: str, url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise _unusable(name, error) from error


def _open(task: _Task, url: sa.URL) -> _Database:
    try:
        if url.get_backend_name() == "postgresql":
            # Imported where it is wanted: its driver is an extra.
            from etl.destinations import sql_postgres

            options: dict[str, Any] = {"prepare_threshold": None}  # poolers in transaction mode know no prepared statements
            engine = sa.create_engine(sql_postgres.url_for(url), hide_parameters=True, poolclass=sa.NullPool, connect_args=options)
            return _Database(
                engine, task.shown, lambda: sql_postgres.transaction(engine, task.table), sql_postgres.apply, sql_postgres.append
            )
        options = {"timeout": _SQLITE_WAIT} if url.get_backend_name() == "sqlite" else {}
        engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool, connect_args=options)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise _unusable(task.name, error, postgres=url.get_backend_name() == "postgresql") from error
    return _Database(engine, task.shown, lambda: sql_portable.transaction(engine), sql_portable.apply, sql_portable.append)


def _unusable(name: str, error: Exception, *, postgres: bool = False) -> ConfigurationError:
    missing = isinstance(error, ImportError)
    return ConfigurationError(
        "the database URL cannot be used",
        where={"destination": name},
        value=f"there is no driver: {error}" if missing else type(error).__name__,
        next_step="pip install 'profilemill[postgres]'"
        if missing and postgres
        else "write it as dialect+driver://user:password@host/database and install the driver",
    )


def _load(task: _Task, database: _Database, connection: sa.Connection) -> LoadReport:
    lake, name, table, mode, events = task.lake, task.name, task.table, task.mode, task.events
    # Read within the transaction: a load that had to wait must not put an older version over a newer one.
    version = current_version(lake)
    tables = tables_for(version.fields, table)
    for one in tables.all:
        check_names(one, connection.dialect, name)
    existing = inspect_tables(connection, tables, name)
    held = existing.held
    since = None if mode == "full" else _known_build(existing, version)
    changed = None if since is None else changed_since(lake, version, since)
    counts, done = Counts(), since != version.build
    held_events = {} if held is None else held.events
    held_members = None if held is None else held.memberships
    # People are to leave what was switched off too, where its tables are still there.
    left_over = _left_over(connection, table, held) if task.beside.erasing else set()
    streams = [one for one in (current_events(lake) if events or left_over else []) if events or one.stream in left_over]
    part = EventLoad(connection, streams, table, name, database.append, held_events) if streams or events else None
    members = None
    if task.beside.memberships or MEMBERSHIPS in left_over:
        members = MembershipLoad(connection, current_memberships(lake), table, name, database.append, held_members)
    with lake.workspace() as (local, _):
        if done:
            rows = version if since is None or changed is None else written_since(lake, version, since)
            counts = database.apply(connection, local, tables, existing, rows_of(local, rows, changed))
        if part is not None:
            done |= part.run(local, None if mode == "full" and events else held_events, counts, only_held=not events)
        if members is not None and (found := members.run(local, full=mode == "full", counts=counts)) is not None:
            held_members, done = found, True
    if done:
        now = Held(version.source, version.build, kinds_of(version.fields), held_events | fields_of(streams), held_members)
        write_state(connection, tables, now, held)
    return LoadReport(
        name,
        counts.written,
        counts.deleted,
        changed is None,
        database.shown,
        counts.replaced,
        counts.too_long,
        counts.events,
        memberships=counts.memberships,
    )


def _left_over(database: sa.Connection, table: str, held: Held | None) -> set[str]:
    """Streams whose events were loaded once, and the name of memberships where they were, as far as their tables are there."""
    known = set() if held is None else {*held.events, *(() if held.memberships is None else (MEMBERSHIPS,))}
    inspector = sa.inspect(database)
    return {one for one in known if inspector.has_table(f"{table}_{one}")}


def _known_build(existing: Existing, version: Version) -> int | None:
    """The build that the tables hold, where changes since it are enough to bring them up; None where they are not."""
    held = existing.held
    if held is None or existing.absent or existing.missing or held.source != version.source:
        return None
    written = all(held.fields.get(field.name) == field.kind_name for field in version.fields)
    return held.build if written else None


def _refusal(error: Any, name: str, database: _Database) -> ProfilemillError:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    where = {"destination": name, "url": database.shown}
    driver = database.engine.dialect.loaded_dbapi
    diagnosis = getattr(cause, "diag", None)
    text = getattr(diagnosis, "message_primary", None) or str(cause)
    if isinstance(cause, driver.DataError) or (isinstance(cause, driver.IntegrityError) and diagnosis is None):
        # Messages about values quote them: they are people's data. PostgreSQL's about constraints do so in their details alone.
        code = getattr(diagnosis, "sqlstate", None) or next((one for one in getattr(cause, "args", ()) if isinstance(one, int)), None)
        told = (type(cause).__name__, code, getattr(diagnosis, "column_name", None))
        text = " ".join(str(one) for one in told if one)
    if isinstance(cause, driver.OperationalError | driver.InterfaceError):
        return TransientError(
            "the database did not take the profiles",
            where=where,
            value=text,
            next_step="check that it runs and may be written; then run again",
        )
    return ConfigurationError(
        "the database refused the profiles",
        where=where,
        value=text,
        next_step="see its message; the tables are as before",
    )
