"""Fields marked `pii: true`, hashed with a key right after they are mapped, so that no table ever holds their values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from etl.engines.keyed import keyed_hash, keyed_hash_sql, set_key
from etl.engines.local import Connection
from etl.engines.sql import identifier, quote
from etl.errors import ConfigurationError
from etl.mapping.model import GUARD_VALUES, Field, Mapping

_VARIABLE = "pii"
_SHORTEST_KEY = 16
_KINDS = ("string", "[]string", "ts[]string", "map[string]string")


def check_hashing(mapping: Mapping) -> None:
    """Raises ConfigurationError for a key that is too short to keep anything, and for a field whose kind holds no text."""
    if mapping.pii_key is None:
        return
    if len(mapping.pii_key.reveal()) < _SHORTEST_KEY:
        raise ConfigurationError(f"`pii_key` is shorter than {_SHORTEST_KEY} characters", next_step="make one with: openssl rand -hex 32")
    for field in mapping.fields:
        if field.pii and field.kind.name not in _KINDS:
            raise ConfigurationError(
                f"the field {field.name} is marked pii, and a {field.kind.name} cannot be hashed",
                where={"mapping": mapping.name},
                next_step=f"give it one of the kinds {', '.join(_KINDS)}, or leave pii out",
            )


def hashing_of(mapping: Mapping) -> str:
    """What is hashed and by which key, as a text that tells nothing about the key; empty where nothing is."""
    names = [field.name for field in mapping.fields if field.pii]
    if mapping.pii_key is None or not names:
        return ""
    key = hashlib.sha256(b"profilemill pii key\x1f" + mapping.pii_key.reveal().encode()).hexdigest()[:8]
    return f"{', '.join(names)} by key {key}"


def identifier_hashing(mappings: Iterable[Mapping]) -> str:
    """The same of the identifiers of several mappings: what decides which values the tables have for a person."""
    ids = (replace(one, fields=tuple(one.field(name) for name in one.by)) for one in mappings)
    return "; ".join(sorted({text for one in ids if (text := hashing_of(one))}))


def hashed_query(connection: Connection, query: str, mapping: Mapping) -> str:
    """SQL for the mapped rows of `query` with their marked fields hashed; the connection is made ready for it.

    Of identifier fields the values that identify nobody stay: hashed, they would look like somebody.
    """
    fields = [field for field in mapping.fields if field.pii]
    if mapping.pii_key is None or not fields:
        return query
    set_key(connection, _VARIABLE, mapping.pii_key.reveal().encode("utf-8"))
    columns = ", ".join(f"{_hashed(field, mapping)} AS {identifier(field.name)}" for field in fields)
    return f"SELECT * REPLACE ({columns}) FROM ({query})"


def hashed_value(mapping: Mapping, name: str, value: str) -> str:
    """The value that an identifier field has in the tables, for the value that people know."""
    if mapping.pii_key is None or not any(field.name == name and field.pii for field in mapping.fields):
        return value
    return keyed_hash(mapping.pii_key.reveal().encode("utf-8"), value)


def is_guard(value: str) -> str:
    """SQL that is true for values that identify nobody."""
    # A list of so many values would be joined, and a join costs each column that goes past it.
    guards = "|".join(map(re.escape, GUARD_VALUES))
    return f"regexp_full_match(lower(trim({value})), {quote(guards)})"


def _hashed(field: Field, mapping: Mapping) -> str:
    column = identifier(field.name)
    if field.kind.is_map:
        entry = f"{{'key': e.key, 'value': {keyed_hash_sql(_VARIABLE, 'e.value')}}}"
        return f"map_from_entries(list_transform(map_entries({column}), lambda e: {entry}))"
    if field.kind.is_list:
        return f"list_transform({column}, lambda e: {keyed_hash_sql(_VARIABLE, 'e')})"
    if field.name not in mapping.by:
        return keyed_hash_sql(_VARIABLE, column)
    return f"CASE WHEN {is_guard(column)} THEN {column} ELSE {keyed_hash_sql(_VARIABLE, column)} END"
