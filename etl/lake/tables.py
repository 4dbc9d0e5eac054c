"""Delta tables on a local folder: add files, remove files, one commit; read them with DuckDB.

DuckDB or Arrow writes the Parquet files, `deltalake` keeps the log. A file exists for readers from the commit that names it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from etl.engines.local import Connection
from etl.engines.sql import identifier, quote
from etl.errors import ConfigurationError

_ARROW_TYPES = {"DATE": pa.date32(), "VARCHAR": pa.string(), "INTEGER": pa.int32(), "BIGINT": pa.int64()}


@dataclass(frozen=True)
class NewFile:
    """A Parquet file that stands in the table's folder and is not committed yet. `path` is relative to the table."""

    path: str
    rows: int
    partition: Mapping[str, str]

    @classmethod
    def placed(cls, table: Table, partition: Mapping[str, str], name: str, rows: int = 0) -> NewFile:
        """The file `name` of a partition, whose folder is there from now on."""
        folder = "/".join(f"{key}={value}" for key, value in partition.items())
        (table.path / folder).mkdir(parents=True, exist_ok=True)
        return cls(f"{folder}/{name}.parquet" if folder else f"{name}.parquet", rows, partition)


@dataclass(frozen=True)
class DataFile:
    """A committed file: `path` relative to the table, its partition values as text."""

    path: str
    rows: int
    size: int
    partition: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A Delta table at `path`, partitioned by the columns `partition_by` (name -> SQL type). `compression` is that of its files."""

    path: Path
    partition_by: Mapping[str, str] = field(default_factory=dict)
    compression: str = "zstd"

    def open(self, version: int | None = None) -> DeltaTable | None:
        """The table as it is now or was at a version, or None where there is none yet."""
        if not (self.path / "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(str(self.path), version=version)
        except TableNotFoundError:
            return None


class CommitConflict(Exception):
    """The table moved on since the version that the commit was made for."""


def version_of(table: Table) -> int:
    """The table's version; -1 where there is none yet."""
    opened = table.open()
    return -1 if opened is None else int(opened.version())


def transaction_of(table: Table, name: str) -> int | None:
    """The number that the newest commit stored under `name` (Delta's application transactions), if any."""
    opened = table.open()
    number = None if opened is None else opened.transaction_version(name)
    return None if number is None else int(number)


def version_with(table: Table, name: str, value: int) -> int | None:
    """The version whose commit has `name: value` in its metadata; None where the log does not reach back to it."""
    opened = table.open()
    history = opened.history() if opened is not None else []
    return next((int(entry["version"]) for entry in history if entry.get(name) == str(value)), None)


def files_of(table: Table, at: DeltaTable | None = None) -> list[DataFile]:
    """The committed files, now or at the version `at`."""
    opened = at or table.open()
    if opened is None:
        return []
    actions = pa.table(opened.get_add_actions(flatten=True)).to_pylist()
    return [
        DataFile(
            unquote(action["path"]),
            action["num_records"] or 0,
            action["size_bytes"],
            {name: str(action[f"partition.{name}"]) for name in table.partition_by},
        )
        for action in actions
    ]


def write_file(
    connection: Connection, query: str, table: Table, partition: Mapping[str, str], name: str, *, group: int | None = None
) -> NewFile | None:
    """Writes the rows of `query` (without the partition columns) beside the committed files; None when there are none.
    `group` is how many rows share statistics, where the usual number is too coarse."""
    new = NewFile.placed(table, partition, name)
    target = table.path / new.path
    rows_of_group = "" if group is None else f", ROW_GROUP_SIZE {group}"
    options = f"FORMAT parquet, COMPRESSION {table.compression}{rows_of_group}"
    copied = connection.execute(f"COPY ({query}) TO {quote(str(target))} ({options})").fetchone()
    rows = int(copied[0])
    if rows == 0:
        target.unlink(missing_ok=True)
        return None
    return replace(new, rows=rows)


def write_rows(rows: pa.Table, table: Table, partition: Mapping[str, str], name: str) -> NewFile:
    """Writes rows (at least one, without the partition columns) beside the committed files."""
    new = NewFile.placed(table, partition, name, len(rows))
    pq.write_table(rows, table.path / new.path, **parquet_options(table, rows.schema))
    return new


def parquet_options(table: Table, schema: pa.Schema, ordered: Collection[str] | None = None) -> dict[str, Any]:
    """How Arrow writes the rows of tables. Compression finds what repeats; numbering values beforehand saved nothing of
    events and made fragments larger. `ordered` are the texts that do not stand anyhow (None: all): of others, and within
    maps and lists, a least and a greatest value tell nobody where to look."""
    flat = [column for column in schema if not pa.types.is_nested(column.type)]
    told = [column.name for column in flat if ordered is None or column.name in ordered or not pa.types.is_string(column.type)]
    level = {"compression_level": 1} if table.compression == "zstd" else {}
    return {"compression": table.compression, "use_dictionary": False, "write_statistics": told} | level


def with_partition(schema: pa.Schema, table: Table) -> pa.Schema:
    """The schema with the partition columns."""
    for name, type_ in table.partition_by.items():
        schema = schema.append(pa.field(name, _ARROW_TYPES[type_]))
    return schema


def schema_of(connection: Connection, query: str, table: Table) -> pa.Schema:
    """The Arrow schema of `query` plus the partition columns."""
    columns = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in table.partition_by.items())
    extended = f"SELECT *{', ' + columns if columns else ''} FROM ({query}) LIMIT 0"
    return connection.sql(extended).to_arrow_table().schema


def commit(
    table: Table,
    schema: pa.Schema,
    *,
    add: Sequence[NewFile] = (),
    remove: Iterable[str] = (),
    expected_version: int | None = None,
    transactions: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Adds and removes files in one commit.

    With `expected_version` the commit is a compare-and-set: CommitConflict when the table is at another version.
    Without it, commits of several writers are ordered one after the other. New columns are added to the table first;
    a column of another type is a ConfigurationError. On either the new files are deleted; after anything else
    that breaks off here, Ctrl-C say, they may be committed, so they stay (`vacuum` knows).
    """
    opened = table.open()
    if opened is None:
        opened = _created(table, schema)
        if expected_version == -1:
            expected_version = 0
    if expected_version is not None and opened.version() != expected_version:
        discard(table, add)
        raise CommitConflict(table.path.name)
    try:
        _add_columns(table, opened, schema)
    except ConfigurationError:
        discard(table, add)
        raise
    now = int(time.time() * 1000)  # a file attribute of the Delta log; nothing reads it
    removed = set(remove)
    committed = {file.path: file for file in files_of(table)} if removed else {}
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            file.path,
            (table.path / file.path).stat().st_size,
            dict(file.partition),
            now,
            True,
            json.dumps({"numRecords": file.rows}),
        )
        for file in add
    ]
    actions += [RemoveAction(file.path, True, now, file.size, dict(file.partition)) for path, file in committed.items() if path in removed]
    properties = CommitProperties(
        custom_metadata=dict(metadata or {}),
        max_commit_retries=0 if expected_version is not None else 15,
        app_transactions=[Transaction(name, number) for name, number in (transactions or {}).items()],
    )
    try:
        opened.create_write_transaction(
            actions, "append", Schema.from_arrow(schema), list(table.partition_by), commit_properties=properties
        )
    except CommitFailedError as error:
        discard(table, add)
        raise CommitConflict(str(error)) from error


def _created(table: Table, schema: pa.Schema) -> DeltaTable:
    """The table, made by this writer or by another one that was faster."""
    try:
        return DeltaTable.create(str(table.path), Schema.from_arrow(schema), mode="ignore", partition_by=list(table.partition_by))
    except CommitFailedError:
        opened = table.open()
        if opened is None:
            raise
        return opened


def _add_columns(table: Table, opened: DeltaTable, schema: pa.Schema) -> None:
    """Gives the table every column of `schema`. `opened` then stands at the version of that commit, not at a newer one,
    so that a compare-and-set after it still sees other writers."""
    wanted = Schema.from_arrow(schema)
    known = {column.name: column for column in opened.schema().fields}
    for column in wanted.fields:
        if column.name in known and json.dumps(column.type.to_json()) != json.dumps(known[column.name].type.to_json()):
            raise ConfigurationError(
                f"the column {column.name} has another type than the table",
                where={"table": table.path.name},
                value=f"{known[column.name].type} in the lake, {column.type} now",
                next_step="run `profilemill rebuild --from landing`",
            )
    new = [column for column in wanted.fields if column.name not in known]
    if new:
        opened.alter.add_columns(new)


def relation(table: Table, paths: Iterable[str]) -> str | None:
    """SQL that reads the given files of the table, missing columns as null; None when there are no files."""
    files = ", ".join(quote(str(table.path / path)) for path in paths)
    if not files:
        return None
    types = ", ".join(f"{quote(name)}: {type_}" for name, type_ in table.partition_by.items())
    hive = f", hive_partitioning = true, hive_types = {{{types}}}" if types else ", hive_partitioning = false"
    return f"read_parquet([{files}], union_by_name = true{hive})"


def new_token() -> str:
    """A name that no other attempt, build or file has ever had."""
    return secrets.token_hex(8)


def discard(table: Table, files: Iterable[NewFile]) -> None:
    """Deletes files that were written and will not be committed."""
    for file in files:
        (table.path / file.path).unlink(missing_ok=True)


def vacuum(table: Table, hours: int) -> int:
    """Deletes files that no commit of the last `hours` names; how many."""
    opened = table.open()
    if opened is None:
        return 0
    return len(opened.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True))
