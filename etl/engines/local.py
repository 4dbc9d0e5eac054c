"""SQL over Arrow data and files on this machine: DuckDB, with the settings that every stage shares."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from etl.engines.memory import choose_allocator
from etl.leftovers import own_name

InvalidInput = duckdb.InvalidInputException  # a text that is no JSON, say
Connection = Any  # duckdb.DuckDBPyConnection; the package has no complete types
Workspace = tuple[Connection, Path]

_MEMORY = "PROFILEMILL_MEMORY_LIMIT"
_THREADS = "PROFILEMILL_THREADS"
_DEFAULT_MEMORY = "1GB"
# A limit this low holds where few threads work: each has tables of its own that have to stay in memory.
_LITTLE_MEMORY, _FEW_THREADS = "400MB", 2


def connect(temporary: Path | None = None, *, little: bool = False) -> Connection:
    """An in-memory database in UTC. Spills to `temporary`; memory and threads come from PROFILEMILL_MEMORY_LIMIT
    (default 1GB) and PROFILEMILL_THREADS (default: all cores). With `little` the defaults are 400MB and two threads: for whoever
    has but narrow rows in it, and most of them elsewhere. Arrow works with another allocator from then on (`choose_allocator`).
    Nothing is downloaded or installed at run time."""
    choose_allocator()
    config: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of its cursors too
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET memory_limit = '{os.environ.get(_MEMORY, _LITTLE_MEMORY if little else _DEFAULT_MEMORY)}'")
    if threads := os.environ.get(_THREADS, str(min(_FEW_THREADS, os.cpu_count() or 1)) if little else None):
        connection.execute(f"SET threads = {int(threads)}")
    if temporary is not None:
        connection.execute(f"SET temp_directory = '{str(temporary).replace(chr(39), chr(39) * 2)}'")
    return connection


@contextlib.contextmanager
def workspace(folder: Path, *, little: bool = False) -> Iterator[Workspace]:
    """A connection (`connect`) and a scratch folder below `folder`, both gone afterwards."""
    scratch = folder / own_name(secrets.token_hex(4))
    scratch.mkdir(parents=True)
    connection = connect(scratch, little=little)
    try:
        yield connection, scratch
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def in_order(connection: Connection) -> Iterator[None]:
    """Rows come about as they were read, so that what stood together mostly stays together. No order is certain: of a query
    that is more than a list of names, each thread's rows come in one after the other."""
    connection.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        connection.execute("SET preserve_insertion_order = false")


@contextlib.contextmanager
def one_thread(connection: Connection) -> Iterator[None]:
    """Queries run on one thread: each thread that reads wide rows holds some tens of megabytes, whatever their number."""
    # The setting is that of the database; the connection itself may be in the middle of a result when something fails.
    with contextlib.closing(connection.cursor()) as other:
        (threads,) = other.execute("SELECT current_setting('threads')").fetchone()
        other.execute("SET threads = 1")
        try:
            yield
        finally:
            other.execute(f"SET threads = {threads}")


def arrow(connection: Connection, query: str, parameters: list[Any] | None = None) -> pa.Table:
    """The rows of a query as an Arrow table."""
    return connection.sql(query, params=parameters or []).to_arrow_table()


def rows(connection: Connection, query: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a query as dicts; for small results."""
    found: list[dict[str, Any]] = arrow(connection, query, parameters).to_pylist()
    return found
