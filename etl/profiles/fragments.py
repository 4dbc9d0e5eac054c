"""Fragments: the mapped contribution of one load to one combination of identifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl.engines.sql import identifier, quote
from etl.mapping.model import GUARD_VALUES
from etl.profiles.fields import StreamFields
from etl.profiles.merge import merge_query


def id_column(namespace: str) -> str:
    """The fragment column that holds the identifier of a namespace, null where there is none."""
    return identifier(f"_id_{namespace}")


def guarded(value: str) -> str:
    """SQL that is null for values that identify nobody."""
    guards = ", ".join(quote(guard) for guard in GUARD_VALUES)
    return f"CASE WHEN lower(trim({value})) IN ({guards}) THEN NULL ELSE {value} END"


def identified_query(mapped: str, fields: StreamFields, hidden: Mapping[str, str] | None = None) -> str:
    """SQL that adds to mapped records their identifiers and `_identity`, a hash of the combination (null: nobody).

    `hidden`, by identifier field, is SQL that is true for values that identify nobody either.
    """
    texts = [guarded(f"CAST({identifier(name)} AS VARCHAR)") for name in fields.by]
    texts = [
        f"CASE WHEN {hidden[name]} THEN NULL ELSE {text} END" if hidden and name in hidden else text
        for text, name in zip(texts, fields.by, strict=True)
    ]
    ids = "".join(f", {text} AS {id_column(name)}" for text, name in zip(texts, fields.by, strict=True))
    known = f"SELECT *{ids} FROM {mapped}"
    return f"SELECT *, {identity_of(fields.by)} AS _identity, _time AS _first, _time AS _last, 1 AS _records FROM ({known})"


def identity_of(by: Sequence[str]) -> str:
    """SQL over id columns for the hash of their combination, null where all are."""
    anyone = " OR ".join(f"{id_column(name)} IS NOT NULL" for name in by) or "FALSE"
    combination = ", ".join(f"{quote(name + '=')} || {id_column(name)}" for name in by) or "NULL"
    return f"CASE WHEN {anyone} THEN md5(concat_ws(chr(31), {combination})) END"


def fragments_query(identified: str, fields: StreamFields) -> str:
    """SQL for the fragments of identified records: one row per load (`load_ix`) and identity."""
    return f"""SELECT merged.*, {", ".join(f"ids.{id_column(name)}" for name in fields.by)}
    FROM ({merge_query(identified, ["load_ix", "_identity"], fields.fields, stored=False)}) merged
    JOIN (SELECT load_ix, _identity, {_any(fields.by)} FROM {identified} GROUP BY load_ix, _identity) ids USING (load_ix, _identity)"""


def _any(by: Sequence[str]) -> str:
    return ", ".join(f"min({id_column(name)}) AS {id_column(name)}" for name in by)
