"""Fragments: the mapped contribution of one load to one combination of identifiers."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from etl.engines.local import Connection
from etl.engines.sorting import groups_by
from etl.engines.sql import identifier, named, quote
from etl.mapping.pii import is_guard
from etl.profiles.columns import merge_columns
from etl.profiles.fields import StreamFields
from etl.profiles.merge import Times

_KEYS = ("load_ix", "_identity")


def id_column(namespace: str) -> str:
    """The fragment column that holds the identifier of a namespace, null where there is none."""
    return identifier(f"_id_{namespace}")


def guarded(value: str) -> str:
    """SQL that is null for values that identify nobody."""
    return f"CASE WHEN {is_guard(value)} THEN NULL ELSE {value} END"


def identified_query(mapped: str, fields: StreamFields) -> str:
    """SQL that adds to mapped records their identifiers and `_identity`, a hash of the combination (null: nobody)."""
    by = [identifier(name) for name in fields.by]
    texts = [guarded(f"CAST({name} AS VARCHAR)") for name in by]
    columns = [f"{text} AS {id_column(name)}" for text, name in zip(texts, fields.by, strict=True)]
    # Of a record, times and count follow from `_time`: a table need not hold them, a view adds them.
    return f"SELECT *, {', '.join([*columns, f'{identity_of(fields.by)} AS _identity'])} FROM {mapped}"


def identity_of(by: Sequence[str]) -> str:
    """SQL over id columns for the hash of their combination, null where all are."""
    anyone = " OR ".join(f"{id_column(name)} IS NOT NULL" for name in by) or "FALSE"
    combination = ", ".join(f"{quote(name + '=')} || {id_column(name)}" for name in by) or "NULL"
    return f"CASE WHEN {anyone} THEN md5(concat_ws(chr(31), {combination})) END"


def records_query(identified: str) -> str:
    """SQL that adds to identified records the columns that merged rows have: `_first`, `_last`, `_records`."""
    return f"SELECT *, _time AS _first, _time AS _last, 1 AS _records FROM {identified}"


def make_fragments(connection: Connection, identified: pa.Table, fields: StreamFields) -> pa.Table:
    """The fragments of those of the identified records that are somebody's: one row per load (`load_ix`) and identity. A load that
    is made of several tables has the fragments of each; whoever merges them gets the same."""
    groups = groups_by(identified, list(_KEYS))
    records = identified.append_column("_records", pa.repeat(pa.scalar(1, pa.int64()), len(identified)))
    for name in ("_first", "_last"):
        records = records.append_column(name, identified["_time"])
    merged = merge_columns(connection, records, groups, fields.fields, Times.OF_RECORDS)
    a_record = pa.array(groups.order[groups.starts])
    for name in (*_KEYS, *(named(id_column(name)) for name in fields.by)):
        merged = merged.append_column(name, identified[name].take(a_record))
    return merged
