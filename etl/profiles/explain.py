"""Why identifiers are one person: the links between them, which load brought each one first, and links not followed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from etl.engines.local import Connection, rows
from etl.engines.sql import quote
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.loads import all_loads, in_force
from etl.lake.tables import transaction_of
from etl.profiles.fields import namespaces, stream_fields
from etl.profiles.fragments import id_column
from etl.profiles.repeated import Repeats
from etl.profiles.resolve import head_query, links_query, nodes_query, profile_id, resolve_all
from etl.profiles.stored import current_profiles
from etl.profiles.sums import register


@dataclass(frozen=True)
class Identifier:
    """An identifier: first seen at the least message time of its records, in `load`; `records` have it."""

    identifier: str
    first_seen: datetime
    load: str
    records: int


@dataclass(frozen=True)
class Link:
    """Two identifiers that stand together in records, `left` the more trusted one. `loads` have such `records`, `load` the
    first of them. Where `followed` is false, the two belong to different people, who are `left_person` and `right_person`
    (their exclusive identifiers)."""

    left: str
    right: str
    first_seen: datetime
    load: str
    loads: int
    records: int
    followed: bool
    left_person: str | None
    right_person: str | None


@dataclass(frozen=True)
class Explanation:
    """A profile of the last build. Its id is the hash of `named_by`, its identifier that was seen first; `links` are in
    the order in which they are followed: by trust, first seen, value. `refused` are those from or to the profile. `waiting`
    counts loads that came since: where there are any, a build is due, which may decide otherwise."""

    profile_id: str
    named_by: str
    quarantined: bool
    identifiers: list[Identifier]
    links: list[Link]
    refused: list[Link]
    waiting: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def explain(lake: Lake, key: str, value: str) -> Explanation | None:
    """Explains the profile that has the identifier `key` with `value`, or (key `profile_id`) any id ever published.

    As of the last build; None where no profile of it has the identifier. Raises ConfigurationError for a key that is no
    identifier.
    """
    lake.ensure_folder()
    source = current_profiles(lake)
    names = namespaces(list(stream_fields(lake).values()))
    if source is None:
        return None
    if key not in (*names, "profile_id"):
        raise ConfigurationError(f"{key!r} is not an identifier", next_step=f"use {', '.join(names)} or profile_id")
    with lake.workspace() as (connection, _):
        register(connection)
        found = _profile(connection, source, key, value)
        if found is None:
            return None
        _find_component(connection, source, found["_component"])
        waiting = _find_links(connection, lake, names)
        identifiers = [Identifier(**row) for row in rows(connection, _identifiers_query(found["profile_id"]))]
        links = [Link(**row) for row in rows(connection, _links_query(found["profile_id"]))]
    return Explanation(
        profile_id=found["profile_id"],
        named_by=found["named_by"],
        quarantined=found["_quarantined"],
        identifiers=identifiers,
        links=[link for link in links if link.followed],
        refused=[link for link in links if not link.followed],
        waiting=waiting,
    )


def _profile(connection: Connection, source: str, key: str, value: str) -> dict[str, Any] | None:
    hashed = profile_id("i.namespace", "i.value")
    which = f"{hashed} = {quote(value)}" if key == "profile_id" else f"i.namespace = {quote(key)} AND i.value = {quote(value)}"
    found = rows(
        connection,
        f"""WITH everybody AS (SELECT profile_id, _component, _quarantined, unnest(_identifiers) AS i FROM {source})
        SELECT profile_id, _component, _quarantined, i.namespace || '=' || i.value AS named_by FROM everybody
        WHERE profile_id IN (SELECT profile_id FROM everybody WHERE {which}) AND {hashed} = profile_id""",
    )
    return found[0] if found else None


def _find_component(connection: Connection, source: str, component: str) -> None:
    """`members(namespace, value)`: whatever is linked, through refused links too."""
    connection.execute(
        f"""CREATE TEMP TABLE members AS SELECT i.namespace AS namespace, i.value AS value
        FROM (SELECT unnest(_identifiers) AS i FROM {source} WHERE _component = {quote(component)})"""
    )


def _find_links(connection: Connection, lake: Lake, names: list[str]) -> int:
    """`seen` and `linked`, the identifiers and links of each load; `assigned` and `refused`, as in a build. Returns how many
    loads came since the last build."""
    repeats = Repeats(lake, stream_fields(lake), None)
    repeats.read(connection, transaction_of(lake.profiles, "build") or 0)
    committed, built = all_loads(lake), transaction_of(lake.profiles, "loads") or 0
    applied, now = in_force(committed, built), in_force(committed)
    ids = [f"CAST(NULL AS VARCHAR) AS {id_column(name)}" for name in names]
    none = f"SELECT '' AS load, CAST(NULL AS TIMESTAMPTZ) AS _first, CAST(NULL AS BIGINT) AS _records, {', '.join(ids)} WHERE FALSE"
    every = " UNION ALL BY NAME ".join([none, *repeats.identified(connection, applied.values())])
    # A component is closed, so a fragment belongs to it when its most trusted identifier does.
    head_namespace, head_value = head_query(names)
    connection.execute(
        f"""CREATE TEMP TABLE fragments AS
        SELECT load, _first, _records, {", ".join(id_column(name) for name in names)} FROM ({every})
        WHERE ({head_namespace}, {head_value}) IN (SELECT (namespace, value) FROM members)"""
    )
    resolve_all(connection, "fragments", names)
    also = ("load", "_records")
    connection.execute(f"CREATE TEMP TABLE seen AS {nodes_query('fragments', names, also)}")
    connection.execute(f"CREATE TEMP TABLE linked AS {links_query('fragments', names, also)}")
    before = {name: load.attempt for name, load in applied.items() if load.rows}
    return sum(1 for name, load in now.items() if before.get(name) != load.attempt and (load.rows or name in before))


_FIRST = "min(first) AS first_seen, arg_min(load, (first, load)) AS load"


def _identifiers_query(person: str) -> str:
    return f"""SELECT namespace || '=' || value AS identifier, {_FIRST}, CAST(sum(_records) AS BIGINT) AS records
        FROM seen s JOIN (SELECT namespace, value, rank, profile_id FROM assigned) a USING (namespace, value)
        WHERE profile_id = {quote(person)} GROUP BY namespace, value, rank ORDER BY rank, value"""


def _links_query(person: str) -> str:
    people = """SELECT profile_id, any_value(namespace || '=' || value) FILTER (rank = 0) AS person FROM assigned GROUP BY profile_id"""
    ends = "left_namespace, left_value, right_namespace, right_value"
    return f"""WITH people AS ({people}), ends AS (SELECT namespace, value, rank, profile_id FROM assigned)
        SELECT left_namespace || '=' || left_value AS left, right_namespace || '=' || right_value AS right, k.first_seen, k.load,
            k.loads, k.records, l.profile_id = r.profile_id AS followed,
            CASE WHEN l.profile_id <> r.profile_id THEN lp.person END AS left_person,
            CASE WHEN l.profile_id <> r.profile_id THEN rp.person END AS right_person
        FROM (SELECT {ends}, {_FIRST}, count(DISTINCT load) AS loads, CAST(sum(_records) AS BIGINT) AS records
            FROM linked GROUP BY {ends}) k
        JOIN ends l ON l.namespace = k.left_namespace AND l.value = k.left_value
        JOIN ends r ON r.namespace = k.right_namespace AND r.value = k.right_value
        JOIN people lp ON lp.profile_id = l.profile_id JOIN people rp ON rp.profile_id = r.profile_id
        WHERE {quote(person)} IN (l.profile_id, r.profile_id)
        ORDER BY l.rank, r.rank, k.first_seen, left_value, right_value"""
