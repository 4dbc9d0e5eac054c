"""Fragments: the mapped contribution of one load to one combination of identifiers."""

from __future__ import annotations

from collections.abc import Sequence

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


def identified_query(mapped: str, fields: StreamFields) -> str:
    """SQL that adds to mapped records their identifiers and `_identity`, a hash of the combination (null: nobody)."""
    by = [identifier(name) for name in fields.by]
    texts = [guarded(f"CAST({name} AS VARCHAR)") for name in by]
    columns = [f"{text} AS {id_column(name)}" for text, name in zip(texts, fields.by, strict=True)]
    anyone = " OR ".join(f"{id_column(name)} IS NOT NULL" for name in fields.by) or "FALSE"
    combination = ", ".join(f"{quote(name + '=')} || {id_column(name)}" for name in fields.by) or "NULL"
    identity = f"CASE WHEN {anyone} THEN md5(concat_ws(chr(31), {combination})) END"
    return f"SELECT *, {', '.join([*columns, f'{identity} AS _identity'])}, _time AS _first, _time AS _last, 1 AS _records FROM {mapped}"


def fragments_query(identified: str, fields: StreamFields) -> str:
    """SQL for the fragments of identified records: one row per load (`load_ix`) and identity."""
    return f"""SELECT merged.*, {", ".join(f"ids.{id_column(name)}" for name in fields.by)}
    FROM ({merge_query(identified, ["load_ix", "_identity"], fields.fields, stored=False)}) merged
    JOIN (SELECT load_ix, _identity, {_any(fields.by)} FROM {identified} GROUP BY load_ix, _identity) ids USING (load_ix, _identity)"""


def _any(by: Sequence[str]) -> str:
    return ", ".join(f"min({id_column(name)}) AS {id_column(name)}" for name in by)
