"""The tables `profiles` and `identifiers` as they stand: which of their rows count, and where a row is found."""

from __future__ import annotations

from collections.abc import Sequence

from etl.lake.layers import Layers
from etl.lake.layout import Lake
from etl.lake.tables import DataFile, files_of
from etl.profiles.resolve import profile_id

PROFILES = Layers("profile_id", "_records = 0")
IDENTIFIERS = Layers("id_hash", "profile_id IS NULL", narrow=8)


def current_profiles(lake: Lake, files: Sequence[DataFile] | None = None, where: str = "TRUE") -> str | None:
    """SQL for the profiles, those in quarantine too, every column; None where there are none. `files` are those of the
    version wanted (None: now), `where` is a condition on their columns."""
    return PROFILES.current(lake.profiles, files_of(lake.profiles) if files is None else files, where)


def current_identifiers(lake: Lake, where: str = "TRUE") -> str | None:
    """SQL for the identifiers of the last build whose identifiers are written; None where there are none."""
    return IDENTIFIERS.current(lake.identifiers, files_of(lake.identifiers), where)


def short_hash(id_hash: str) -> str:
    """SQL for the first 60 bits of an id hash: numbers are read and compared many times faster than texts."""
    return f"CAST(('0x' || left({id_hash}, 15)) AS BIGINT)"


def identifier_rows(source: str, build: int) -> str:
    """SQL for rows of `identifiers`: of a query for `namespace`, `value`, `first_seen`, `profile_id`, `component`.

    `id_hash` is the id that an identifier gives: whatever id was ever published for a person resolves through it.
    """
    hashed = f"SELECT *, {profile_id('namespace', 'value')} AS id_hash FROM ({source})"
    return f"""SELECT namespace, value, first_seen, profile_id, id_hash, {short_hash("id_hash")} AS _hash,
        {short_hash("component")} AS _component_hash, CAST({build} AS BIGINT) AS _build
        FROM ({hashed})"""


def gone_identifier_rows(source: str, build: int) -> str:
    """The same for identifiers that nobody has any more: of a query for `namespace` and `value`."""
    return f"""SELECT {profile_id("namespace", "value")} AS id_hash, CAST({build} AS BIGINT) AS _build FROM ({source})"""


def identifiers_of_profiles(profiles: str, published: bool = False) -> str:
    """SQL for `namespace`, `value`, `first_seen`, `profile_id`, `component` of every identifier in rows of `profiles`."""
    where = " WHERE NOT _quarantined" if published else ""
    return f"""SELECT i.namespace AS namespace, i.value AS value, i.first_seen AS first_seen, profile_id, component
        FROM (SELECT profile_id, _component AS component, unnest(_identifiers) AS i FROM {profiles}{where})"""
