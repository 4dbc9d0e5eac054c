"""Tables whose rows belong to attempts of loads: one file per attempt, named by it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from etl.engines.sql import quote
from etl.lake.tables import DataFile, Table, commit, files_of, relation


def file_name(load: str, attempt: str) -> str:
    """The file name of an attempt's rows, without `.parquet`."""
    plain = "".join(character if (character.isalnum() and character.isascii()) or character in "-_" else "." for character in load)
    return f"{plain[-100:]}.{attempt}"


def attempt_of(file: DataFile) -> str:
    """The attempt whose rows a file holds."""
    return file.path.rsplit(".", 2)[-2]


def rows_of(table: Table, attempts: Iterable[str], files: Iterable[DataFile] | None = None) -> str | None:
    """SQL for the rows of the given attempts; None when there are none. Files are chosen by name, rows by column. `files`
    are those of the table, for callers that ask more than once."""
    wanted = set(attempts)
    if not wanted:
        return None
    known = files_of(table) if files is None else files
    source = relation(table, (file.path for file in known if attempt_of(file) in wanted))
    if source is None:
        return None
    return f"(SELECT * FROM {source} WHERE _attempt IN ({', '.join(quote(attempt) for attempt in sorted(wanted))}))"


def row_count(table: Table, attempts: Iterable[str]) -> int:
    """How many rows the given attempts have."""
    wanted = set(attempts)
    return sum(file.rows for file in files_of(table) if attempt_of(file) in wanted)


def remove_attempts(table: Table, attempts: Iterable[str]) -> int:
    """Removes the files of the given attempts in one commit; how many files."""
    gone = set(attempts)
    files = [file for file in files_of(table) if attempt_of(file) in gone]
    if files:
        commit(table, arrow_schema(table), remove=[file.path for file in files])
    return len(files)


def column_names(table: Table) -> list[str]:
    """The columns that a table has or had; none where there is none yet."""
    opened = table.open()
    return [] if opened is None else [column.name for column in opened.schema().fields]


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of a table that is there."""
    opened = table.open()
    assert opened is not None  # it has files
    return pa.schema(opened.schema())
