"""The rows of the destination `sql`, made ready by DuckDB: maps and lists as JSON text, no NUL characters.

PostgreSQL takes no NUL in text, and SQLite's functions end at one, so every database gets U+FFFD in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.destinations.sql_tables import LONGEST_IDENTIFIER
from etl.engines.local import Connection
from etl.engines.sql import identifier
from etl.profiles.fields import ProfileField
from etl.profiles.published import KEYS
from etl.profiles.versions import Version

REPLACEMENT = "\ufffd"

_BATCH = 5000
_REPLACED, _TOO_LONG = _COUNTS = ("_replaced", "_too_long")


@dataclass
class Counts:
    """What a load did: profiles written and deleted, values whose NUL characters were replaced, identifiers left out,
    since they are longer than a database indexes, and events and cohort memberships written."""

    written: int = 0
    deleted: int = 0
    replaced: int = 0
    too_long: int = 0
    events: int = 0
    memberships: int = 0


@dataclass(frozen=True)
class Rows:
    """SQL over a connection that has the temporary table `changed_ids` where only changes are loaded.

    `profiles` and `identifiers` have the columns of the tables, and one of counts; `changed` is SQL for the ids of the
    profiles that changed, None where everything is loaded.
    """

    profiles: str
    identifiers: str
    changed: str | None


def rows_of(connection: Connection, version: Version, changed: str | None) -> Rows:
    """The rows to load: all of a version, or those whose ids the query `changed` gives."""
    among = ""
    if changed is not None:
        connection.execute(f"CREATE TEMP TABLE changed_ids AS {changed}")
        among = "SEMI JOIN changed_ids USING (profile_id)"
    return Rows(
        row_query(f"SELECT * FROM ({version.profiles}) {among}", KEYS, version.fields),
        _identifiers(f"SELECT * FROM ({version.identifiers}) {among}"),
        None if changed is None else "SELECT profile_id FROM changed_ids",
    )


def row_query(source: str, keys: Mapping[str, str], fields: Iterable[ProfileField]) -> str:
    """SQL that makes rows ready: the key columns (name -> type), then the fields, then the number of values with NULs."""
    texts = []
    columns = [
        f"{_without_nul(identifier(key))} AS {identifier(key)}" if type_ == "VARCHAR" else identifier(key) for key, type_ in keys.items()
    ]
    for field in fields:
        name = identifier(field.name)
        if field.kind.is_map or field.kind.is_list:
            text = _json(name, field)
            texts.append(f"contains({text}, '\\u0000')")
            columns.append(f"{_json_without_nul(text)} AS {name}")
        elif field.kind.name == "string":
            texts.append(f"contains({name}, chr(0))")
            columns.append(f"{_without_nul(name)} AS {name}")
        else:
            columns.append(name)
    return f"SELECT {', '.join(columns)}, {_sum(texts)} AS {_REPLACED} FROM ({source})"


def batches(connection: Connection, query: str, counts: Counts) -> Iterator[pa.RecordBatch]:
    """The rows of a query of rows; what its column of counts tells is added to `counts`."""
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        found = batch.select([name for name in batch.schema.names if name not in _COUNTS])
        if _REPLACED in batch.schema.names:
            counts.replaced += pc.sum(batch[_REPLACED]).as_py() or 0
        if _TOO_LONG in batch.schema.names:
            counts.too_long += pc.sum(batch[_TOO_LONG]).as_py() or 0
            found = found.filter(pc.is_valid(found["value"]))
        if found.num_rows:
            yield found


def _identifiers(source: str) -> str:
    # Two values may become equal when their NULs are replaced; one of them has to do. Too long ones become null.
    short = f"CASE WHEN length(value) <= {LONGEST_IDENTIFIER} THEN {_without_nul('value')} END"
    return f"""SELECT namespace, short AS value, any_value(profile_id) AS profile_id, min(first_seen) AS first_seen,
            count(*) FILTER (short IS NULL) AS {_TOO_LONG}
        FROM (SELECT namespace, {short} AS short, profile_id, first_seen FROM ({source})) GROUP BY namespace, short"""


def _sum(conditions: list[str]) -> str:
    return " + ".join(["0", *(f"coalesce(CAST({condition} AS INTEGER), 0)" for condition in conditions)])


def _json(name: str, field: ProfileField) -> str:
    if field.kind.element != "date":
        return f"CAST(to_json({name}) AS VARCHAR)"
    iso = "lambda moment: replace(strftime(moment AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f+00:00'), '.000000', '')"
    if field.kind.is_list:
        return f"CAST(to_json(list_transform({name}, {iso})) AS VARCHAR)"
    return f"CAST(to_json(map(map_keys({name}), list_transform(map_values({name}), {iso}))) AS VARCHAR)"


def _without_nul(text: str) -> str:
    return f"CASE WHEN contains({text}, chr(0)) THEN replace({text}, chr(0), '{REPLACEMENT}') ELSE {text} END"


def _json_without_nul(text: str) -> str:
    """JSON text writes NUL as `\\u0000`, and the same six characters after a backslash as `\\\\u0000`: those are kept."""
    backslash = "chr(1)"  # control characters stand in JSON text only as escapes
    replaced = f"replace(replace({text}, '\\\\', {backslash}), '\\u0000', '{REPLACEMENT}')"
    return f"CASE WHEN contains({text}, '\\u0000') THEN replace({replaced}, {backslash}, '\\\\') ELSE {text} END"
