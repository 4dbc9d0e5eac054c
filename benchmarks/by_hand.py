"""What somebody writes by hand for the same job: a DuckDB script and a pandas script. They set no broken line aside, count
nothing twice only by `uuid`, and know that properties are what they look like; nested ones stay JSON text."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake import write_deltalake

from etl.engines.sql import identifier, quote
from etl.mapping import Mapping
from etl.mapping.tree import Call, Literal, Name

if TYPE_CHECKING:
    import pandas as pd

_DATE = "try_strptime({0}, ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])::TIMESTAMPTZ"
CASTS = {"string": "{0}", "int": "TRY_CAST({0} AS BIGINT)", "number": "TRY_CAST({0} AS DOUBLE)", "bool": "TRY_CAST({0} AS BOOLEAN)"}


def columns_of(mapping: Mapping, record: str) -> tuple[dict[str, str], dict[str, str]]:
    """The columns that a mapping reads with their types, and SQL for each of its fields; `record` stands before a column."""
    columns: dict[str, str] = {}
    fields: dict[str, str] = {}
    for field in mapping.fields:
        node = field.sources[0].expression.node
        if isinstance(node, Name):
            columns[node.key] = "VARCHAR"
            fields[field.name] = CASTS[field.kind.name].format(record + identifier(node.key))
        elif isinstance(node, Call) and node.name == "todate":
            key = node.arguments[1]
            assert isinstance(key, Name)
            columns[key.key] = "VARCHAR"
            fields[field.name] = _DATE.format(record + identifier(key.key))
        elif isinstance(node, Call) and node.name == "match":
            prefix = node.arguments[0]
            assert isinstance(prefix, Literal)
            name = str(prefix.value).removesuffix(".")
            columns[name] = "MAP(VARCHAR, VARCHAR)"
            column = record + identifier(name)
            fields[field.name] = f"CASE WHEN cardinality({column}) > 0 THEN {column} END"
        else:
            columns["event_type"] = "VARCHAR"
            fields[field.name] = f"CASE WHEN {record}event_type <> '' THEN map([{record}event_type], [CAST(1 AS BIGINT)]) END"
    return columns, fields


def duckdb_rows(archive: Path, folder: Path, mapping: Mapping) -> duckdb.DuckDBPyConnection:
    """zip -> typed, de-duplicated rows in a Delta table; the connection still has them as `events`."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "members")
    columns, fields = columns_of(mapping, "")
    spec = ", ".join(f"{quote(name)}: {quote(type_)}" for name, type_ in (columns | {"uuid": "VARCHAR"}).items())
    source = f"""read_json({quote(str(folder / "members/**/*.json.gz"))}, format = 'newline_delimited', records = 'true',
        auto_detect = false, ignore_errors = true, columns = {{{spec}}})"""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET memory_limit = '1GB'")
    selected = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in fields.items())
    connection.execute(
        f"CREATE TABLE events AS SELECT DISTINCT ON (uuid) {selected}, {_DATE.format('event_time')} AS _time, uuid FROM {source}"
    )
    write_deltalake(str(folder / "rows"), connection.sql("FROM events").to_arrow_reader(), mode="append")
    shutil.rmtree(folder / "members")
    return connection


def duckdb_profiles(archive: Path, folder: Path, mapping: Mapping) -> None:
    """The same, and one row per person: the latest value of each field, the latest of each key of a map, counts added up."""
    connection = duckdb_rows(archive, folder, mapping)
    person = "coalesce(amplitude_user_id, amplitude_id)"
    scalars = [field.name for field in mapping.fields if not field.kind.is_map]
    latest = ", ".join(f"arg_max({identifier(name)}, _time) AS {identifier(name)}" for name in scalars)
    parts, joins = [f"people AS (SELECT {person} AS person, {latest} FROM events GROUP BY person)"], []
    for number, field in enumerate(field for field in mapping.fields if field.kind.is_map):
        merged = "sum(v)" if field.kind.is_counter else "arg_max(v, _time)"
        entries = f"unnest(map_keys({identifier(field.name)})) AS k, unnest(map_values({identifier(field.name)})) AS v"
        each = f"SELECT person, k, {merged} AS v FROM (SELECT {person} AS person, _time, {entries} FROM events) GROUP BY person, k"
        parts.append(f"m{number} AS (SELECT person, map(list(k), list(v)) AS {identifier(field.name)} FROM ({each}) GROUP BY person)")
        joins.append(f"LEFT JOIN m{number} USING (person)")
    query = f"WITH {', '.join(parts)} SELECT * FROM people {' '.join(joins)}"
    connection.execute(f"COPY ({query}) TO {quote(str(folder / 'profiles.parquet'))} (FORMAT parquet, COMPRESSION zstd)")


def pandas_rows(archive: Path, folder: Path, mapping: Mapping) -> pd.DataFrame:
    """zip -> typed, de-duplicated rows in a Delta table, as a user of pandas would."""
    import pandas as pd

    columns, _ = columns_of(mapping, "")
    lines = []
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            for line in gzip.decompress(opened.read(name)).splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    lines.append({key: record.get(key) for key in (*columns, "uuid")})
    frame = pd.DataFrame(lines).drop_duplicates("uuid", keep="last")
    for key, type_ in columns.items():
        if type_ != "VARCHAR":
            frame[key] = [json.dumps(one) if one else None for one in frame[key]]
        elif key.endswith("_time"):
            frame[key] = pd.to_datetime(frame[key], errors="coerce", format="ISO8601", utc=True)
        else:
            frame[key] = [one if one is None or isinstance(one, str) else str(one) for one in frame[key]]
    write_deltalake(str(folder / "rows"), frame.reset_index(drop=True), mode="append")
    return frame


def pandas_profiles(archive: Path, folder: Path, mapping: Mapping) -> None:
    """The same, and one row per person: the latest value of each column, the latest of each property, counts of event types."""
    frame = pandas_rows(archive, folder, mapping)
    frame["person"] = frame["user_id"].fillna(frame["amplitude_id"])
    frame = frame.sort_values("event_time")
    people = frame.groupby("person").last()
    for name in ("event_properties", "user_properties", "group_properties"):
        merged: dict[str, dict[str, object]] = {}
        for person, text in zip(frame["person"], frame[name], strict=True):
            if isinstance(text, str):
                merged.setdefault(person, {}).update(json.loads(text))
        people[name] = people.index.map(lambda one, merged=merged: json.dumps(merged.get(one, {})))
    counts = frame.groupby(["person", "event_type"]).size()
    people["events"] = people.index.map(lambda one: json.dumps(counts[one].to_dict()) if one in counts else None)
    people.to_parquet(folder / "profiles.parquet", compression="zstd")
