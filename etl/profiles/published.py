"""The profiles as users see them: one row each, quarantined ones left out, bookkeeping columns left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.engines.local import Connection, arrow, rows
from etl.engines.sql import identifier, quote
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.tables import DataFile, files_of, transaction_of
from etl.profiles.fields import ProfileField, merged_fields, stream_fields
from etl.profiles.merge import published_column, state_types
from etl.profiles.resolve import profile_id, profile_id_of
from etl.profiles.stored import IDENTIFIERS, current_profiles

if TYPE_CHECKING:
    import pandas as pd

KEYS = {"profile_id": "VARCHAR", "first_seen": "TIMESTAMPTZ", "last_seen": "TIMESTAMPTZ"}


def published_fields(lake: Lake) -> list[ProfileField]:
    """The fields of published profiles, in their order."""
    return merged_fields(list(stream_fields(lake).values()))


def published_query(lake: Lake, files: Sequence[DataFile] | None = None, where: str = "TRUE") -> str:
    """SQL for the published profiles: `profile_id`, `first_seen`, `last_seen`, then every mapped field, within its capacity.

    `files` are those of the table `profiles` at the version wanted (None: now), `where` is a condition on its columns.
    """
    fields = published_fields(lake)
    columns = KEYS | {name: type_ for field in fields for name, type_ in state_types(field).items()}
    typed = ", ".join(f"CAST(NULL AS {type_}) AS {name}" for name, type_ in columns.items())
    none = f"SELECT {typed}, FALSE AS _quarantined WHERE FALSE"
    source = current_profiles(lake, files, where)
    everything = f"({none}) UNION ALL BY NAME (SELECT * FROM {source})" if source else none
    names = ", ".join([*KEYS, *(f"{published_column(field)} AS {identifier(field.name)}" for field in fields)])
    return f"SELECT {names} FROM ({everything}) WHERE NOT _quarantined"


def read_profiles(lake: str | Path) -> pd.DataFrame:
    """The published profiles of a lake folder as a pandas DataFrame: one row each, maps as lists of pairs.

    Raises ConfigurationError where the folder is no lake with profiles in it.
    """
    found = Lake(Path(lake))
    if not files_of(found.profiles):
        raise ConfigurationError("there are no profiles in this lake", value=str(lake), next_step="run `profilemill run JOB` first")
    with found.workspace() as (connection, _):
        frame: pd.DataFrame = arrow(connection, published_query(found)).to_pandas()
        return frame


@dataclass(frozen=True)
class Quarantined:
    """A profile that is kept out of everything published: it has more `identifiers` than `allowed`, since the moment at which
    the first one too many was seen."""

    profile_id: str
    identifiers: int
    allowed: int
    since: datetime


def find_quarantined(lake: Lake, key: str, value: str) -> Quarantined | None:
    """The profile in quarantine that has an identifier, or a profile id; None where there is none."""
    source = current_profiles(lake)
    allowed = transaction_of(lake.profiles, "max_identifiers")
    if source is None or allowed is None:
        return None
    with lake.workspace() as (connection, _):
        ids = _ids_of(connection, lake, source, key, value)
        held = f"SELECT profile_id, unnest(_identifiers) AS i FROM {source} WHERE _quarantined AND profile_id IN ({ids})"
        found = rows(
            connection,
            f"""SELECT profile_id, count(*) AS identifiers, list_sort(list(i.first_seen))[{allowed + 1}] AS since FROM ({held})
            GROUP BY profile_id""",
        )
    return Quarantined(found[0]["profile_id"], found[0]["identifiers"], allowed, found[0]["since"]) if found else None


def find_profiles(lake: Lake, key: str, value: str) -> list[dict[str, Any]]:
    """Published profiles by an identifier (`amplitude_user_id`, ..) or by `profile_id`, any id ever published included.

    Each has the profile's columns and `identifiers`. Empty when nobody has it.
    """
    lake.ensure_folder()
    source = current_profiles(lake)
    if source is None:
        return []
    known = sorted({name for stream in stream_fields(lake).values() for name in stream.by})
    if key != "profile_id" and key not in known:
        raise ConfigurationError(f"{key!r} is not an identifier", next_step=f"use {', '.join(known)} or profile_id")
    with lake.workspace() as (connection, _):
        ids = _ids_of(connection, lake, source, key, value)
        found = rows(
            connection,
            f"""SELECT p.*, s._identifiers AS identifiers FROM (SELECT * FROM ({published_query(lake)}) WHERE profile_id IN ({ids})) p
            JOIN (SELECT profile_id, _identifiers FROM {source} WHERE profile_id IN ({ids})) s USING (profile_id)""",
        )
    maps = {field.name for field in published_fields(lake) if field.kind.is_map}
    return [{name: dict(item) if name in maps and item is not None else item for name, item in row.items()} for row in found]


def _ids_of(connection: Connection, lake: Lake, profiles: str, key: str, value: str) -> str:
    """SQL for the ids of the profiles that have an identifier, or of which one gave this profile id: literals, so that files
    and row groups of other people are passed over."""
    build = transaction_of(lake.profiles, "build")
    current = transaction_of(lake.identifiers, "build") == build and transaction_of(lake.profiles, "layout") is not None
    hash_ = value if key == "profile_id" else profile_id_of(key, value)
    source = IDENTIFIERS.current(lake.identifiers, files_of(lake.identifiers), keys=f"id_hash = {quote(hash_)}") if current else None
    if source is None:
        # Before identifiers were laid out by their hashes, and where a kill kept the last build from writing them.
        condition = (
            f"{profile_id('i.namespace', 'i.value')} = {quote(value)}"
            if key == "profile_id"
            else f"i.namespace = {quote(key)} AND i.value = {quote(value)}"
        )
        source = f"(SELECT profile_id FROM (SELECT profile_id, unnest(_identifiers) AS i FROM {profiles}) WHERE {condition})"
    found = rows(connection, f"SELECT DISTINCT profile_id FROM {source}")
    return ", ".join(quote(row["profile_id"]) for row in found) or "NULL"
