"""What a destination keeps beyond its current rows: the version before, and the pages of deleted rows."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from etl.destinations.memberships import NAME
from etl.destinations.parquet import beside_path, drop_previous
from etl.errors import TransientError
from etl.jobs import ParquetDestination, ProfilesDestination, resolve_variables


def erase_old(name: str, destination: ProfilesDestination, streams: Iterable[str] = ()) -> None:
    """Removes the version before the current one of a Parquet folder, and makes SQLite and PostgreSQL write their tables
    anew without deleted rows, those of memberships and of the events of `streams` too. Other databases keep such rows until they clean up
    themselves. Raises TransientError where the database is away or busy, or the folder's old version cannot be removed."""
    if isinstance(destination, ParquetDestination):
        for path in (destination.path, *(beside_path(destination.path, one) for one in (*streams, NAME))):
            if left := drop_previous(path):
                raise TransientError(
                    "an old version of the destination could not be removed",
                    where={"destination": name},
                    value="; ".join(left),
                    next_step="see who may write there, then run again",
                )
        return
    url = sa.make_url(resolve_variables(destination.url.get_secret_value(), f"destinations.{name}.url"))
    if url.get_backend_name() == "postgresql":
        from etl.destinations import sql_postgres

        url = sql_postgres.url_for(url)
    engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool)
    tables = {destination.table, *(f"{destination.table}_{part}" for part in ("identifiers", NAME, *streams))}
    try:
        _vacuum(engine, tables)
    except sa.exc.DBAPIError as error:
        raise TransientError(
            "the database did not free the pages of deleted rows",
            where={"destination": name},
            value=type(error.orig).__name__,
            next_step="see that it runs and that nobody reads these tables for long, then run again",
        ) from error
    finally:
        engine.dispose()


def _vacuum(engine: sa.Engine, tables: set[str]) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                connection.exec_driver_sql(statement)
        elif engine.dialect.name == "postgresql":
            from etl.destinations import sql_postgres

            sql_postgres.vacuum(connection, sorted(tables & set(sa.inspect(connection).get_table_names())))
