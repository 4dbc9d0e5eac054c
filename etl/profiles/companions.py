"""The tables beside `profiles`: `identifiers`, which is derived from it alone, `changes` and `conflicts`; and counts."""

from __future__ import annotations

from pathlib import Path

from etl.engines.local import Connection, rows
from etl.lake.layers import Sizes
from etl.lake.layout import Lake
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, transaction_of, version_of, version_with, write_file
from etl.profiles.cut import Cut, cut
from etl.profiles.stored import (
    IDENTIFIERS,
    current_profiles,
    gone_identifier_rows,
    identifier_rows,
    identifiers_of_profiles,
)

_NO_IDENTIFIERS = """SELECT '' AS namespace, '' AS value, CAST(NULL AS TIMESTAMPTZ) AS first_seen, '' AS profile_id, '' AS component
    WHERE FALSE"""


def derive_identifiers(lake: Lake, connection: Connection, scratch: Path, build: int, sizes: Sizes) -> None:
    """Derives the table `identifiers` from `profiles`, all of it. Raises CommitConflict where somebody else writes it too."""
    version, old = version_of(lake.identifiers), files_of(lake.identifiers)
    profiles = current_profiles(lake)
    query = identifier_rows(identifiers_of_profiles(profiles) if profiles else _NO_IDENTIFIERS, build)
    count = int(rows(connection, f"SELECT count(*) AS n FROM ({query})")[0]["n"])
    added = []
    made = Cut("derived_identifiers", "id_hash", IDENTIFIERS.parts_for(count, sizes), scratch / "derived_identifiers")
    all_rows = cut(connection, made, query, sizes, IDENTIFIERS.narrow)
    for part in all_rows:
        added += IDENTIFIERS.write_base(connection, lake.identifiers, f"SELECT * FROM {all_rows.part(part)}", part)
    schema = schema_of(connection, identifier_rows(_NO_IDENTIFIERS, build), lake.identifiers)
    removed = [file.path for file in old]
    commit(lake.identifiers, schema, add=added, remove=removed, expected_version=version, transactions={"build": build})


def write_identifiers(lake: Lake, connection: Connection, scratch: Path, build: int, sizes: Sizes) -> None:
    """Brings the table `identifiers` up to a build that assigned those of `assigned` and touched those of `near`. Raises
    CommitConflict where somebody else writes it too."""
    version = version_of(lake.identifiers)
    if transaction_of(lake.identifiers, "build") != build - 1:
        derive_identifiers(lake, connection, scratch, build, sizes)
        return
    now = "SELECT namespace, value, first AS first_seen, profile_id, component FROM assigned"
    gone = "SELECT namespace, value FROM near ANTI JOIN assigned USING (namespace, value)"
    query = f"{identifier_rows(now, build)} UNION ALL BY NAME ({gone_identifier_rows(gone, build)})"
    new = IDENTIFIERS.write_recent(connection, lake.identifiers, query)
    added, removed = IDENTIFIERS.settle(connection, lake.identifiers, files_of(lake.identifiers), new, sizes)
    schema = schema_of(connection, identifier_rows(_NO_IDENTIFIERS, build), lake.identifiers)
    commit(lake.identifiers, schema, add=added, remove=removed, expected_version=version, transactions={"build": build})


def write_changes(lake: Lake, connection: Connection, build: int, query: str) -> None:
    """Adds what a build did to each profile, rows of `profile_id` and `change`, to the table `changes`."""
    file = write_file(connection, query, lake.changes, {"build": str(build)}, new_token())
    if file:
        commit(lake.changes, schema_of(connection, query, lake.changes), add=[file])


def write_missing_changes(lake: Lake, connection: Connection, build: int) -> None:
    """The changes of the last build, found by comparing `profiles` with its version before, unless they are there.

    Where the files of that version are deleted already, they stay unknown: a reader sees that the build is missing.
    """
    if any(int(file.partition["build"]) == build for file in files_of(lake.changes)):
        return
    version = version_with(lake.profiles, "build", build)
    if version is None:
        return
    now, before = (files_of(lake.profiles, lake.profiles.open(one)) for one in (version, version - 1))
    if not all((lake.profiles.path / file.path).exists() for file in (*now, *before)):
        return
    none = "(SELECT '' AS profile_id WHERE FALSE)"
    after, old = (current_profiles(lake, files) or none for files in (now, before))
    fresh = current_profiles(lake, now, f"_build = {build}") or none
    changes = f"""SELECT profile_id, CASE WHEN o.profile_id IS NULL THEN 'inserted' ELSE 'updated' END AS change
        FROM {fresh} f LEFT JOIN (SELECT profile_id FROM {old}) o USING (profile_id)
        UNION ALL SELECT profile_id, 'merged_away' FROM {old} ANTI JOIN (SELECT profile_id FROM {after}) a USING (profile_id)"""
    write_changes(lake, connection, build, changes)


def write_conflicts(lake: Lake, connection: Connection, build: int, touched: str | None) -> None:
    """Brings the table `conflicts` up to a build: links not followed. Those of the identifiers in `touched` (SQL for namespace
    and value), and of those assigned, are written anew, the others kept; with None all are written anew."""
    old = files_of(lake.conflicts)
    source = None if touched is None else relation(lake.conflicts, (file.path for file in old))
    query = "SELECT * FROM refused"
    if source is not None:
        untouched = f"""SELECT * EXCLUDE (build) FROM {source} c
            ANTI JOIN ({touched} UNION ALL SELECT namespace, value FROM assigned) a
            ON a.namespace = c.left_namespace AND a.value = c.left_value"""
        query = f"{query} UNION ALL BY NAME ({untouched})"
    file = write_file(connection, query, lake.conflicts, {"build": str(build)}, new_token())
    if file or old:
        schema = schema_of(connection, "SELECT * FROM refused", lake.conflicts)
        commit(lake.conflicts, schema, add=[file] if file else [], remove=[one.path for one in old])


def count_profiles(lake: Lake) -> dict[str, int]:
    """How many profiles are published and how many are in quarantine."""
    opened = lake.profiles.open()
    kept = {name: None if opened is None else opened.transaction_version(name) for name in ("profiles", "quarantined")}
    if None not in kept.values():
        return {name: int(count or 0) for name, count in kept.items()}
    # A lake of before, in which a build did not keep them.
    source = current_profiles(lake)
    if source is None:
        return {"profiles": 0, "quarantined": 0}
    with lake.workspace() as (connection, _):
        query = f"SELECT count(*) FILTER (NOT _quarantined) AS profiles, count(*) FILTER (_quarantined) AS quarantined FROM {source}"
        found: dict[str, int] = rows(connection, query)[0]
        return found
