"""What a destination keeps beyond its current rows: the version before, and the pages of deleted rows."""

from __future__ import annotations

import sqlalchemy as sa

from etl.destinations.parquet import drop_previous
from etl.errors import TransientError
from etl.jobs import Destination, ParquetDestination, resolve_variables


def erase_old(name: str, destination: Destination) -> None:
    """Removes the version before the current one of a Parquet folder, and makes SQLite and PostgreSQL write their tables
    anew without deleted rows. Other databases keep such rows until they clean up themselves."""
    if isinstance(destination, ParquetDestination):
        drop_previous(destination.path)
        return
    engine = sa.create_engine(resolve_variables(destination.url.get_secret_value(), f"destinations.{name}.url"), hide_parameters=True)
    try:
        _vacuum(engine, destination.table)
    except sa.exc.DBAPIError as error:
        raise TransientError(
            "the database did not free the pages of deleted rows",
            where={"destination": name},
            value=str(error.orig),
            next_step="see that nobody reads it for long, then run again",
        ) from error
    finally:
        engine.dispose()


def _vacuum(engine: sa.Engine, table: str) -> None:
    quoted = engine.dialect.identifier_preparer.quote
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
            connection.execute(sa.text("VACUUM"))
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        elif engine.dialect.name == "postgresql":
            for name in (table, f"{table}_identifiers"):
                connection.execute(sa.text(f"VACUUM FULL {quoted(name)}"))
