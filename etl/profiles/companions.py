"""The tables beside `profiles`: `identifiers`, which is derived from it alone, `changes` and `conflicts`; and counts."""

from __future__ import annotations

from etl.engines.local import Connection, rows
from etl.lake.layout import Lake
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, transaction_of, version_with, write_file
from etl.profiles.resolve import profile_id


def write_identifiers(lake: Lake, connection: Connection, build: int, buckets: set[int] | None) -> None:
    """Derives the table `identifiers` from `profiles`: of the given buckets, or of all (None).

    `id_hash` is the id that an identifier gives: whatever id was ever published for a person resolves through it.
    """
    if buckets is not None and transaction_of(lake.identifiers, "build") != build - 1:
        buckets = None
    files = files_of(lake.profiles)
    chosen = {int(file.partition["bucket"]) for file in files} if buckets is None else buckets
    added = []
    token = new_token()
    query = "SELECT '' AS namespace, '' AS value, CAST(NULL AS TIMESTAMPTZ) AS first_seen, '' AS profile_id, '' AS id_hash WHERE FALSE"
    schema = schema_of(connection, query, lake.identifiers)
    for bucket in sorted(chosen):
        source = relation(lake.profiles, [file.path for file in files if int(file.partition["bucket"]) == bucket])
        if source is None:
            continue
        unnested = f"""SELECT i.namespace AS namespace, i.value AS value, i.first_seen AS first_seen, profile_id
            FROM (SELECT profile_id, unnest(_identifiers) AS i FROM {source})"""
        one = f"SELECT *, {profile_id('namespace', 'value')} AS id_hash FROM ({unnested})"
        file = write_file(connection, one, lake.identifiers, {"bucket": str(bucket)}, token)
        added += [file] if file else []
    removed = [file.path for file in files_of(lake.identifiers) if buckets is None or int(file.partition["bucket"]) in chosen]
    commit(lake.identifiers, schema, add=added, remove=removed, transactions={"build": build})


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
    now, before = ({file.path: file for file in files_of(lake.profiles, lake.profiles.open(one))} for one in (version, version - 1))
    gone = [path for path in before if path not in now]
    if not all((lake.profiles.path / path).exists() for path in gone):
        return
    none = "(SELECT '' AS profile_id, 0 AS _build WHERE FALSE)"
    fresh = f"SELECT profile_id FROM {relation(lake.profiles, (path for path in now if path not in before)) or none} WHERE _build = {build}"
    untouched = f"SELECT profile_id FROM {relation(lake.profiles, now) or none} WHERE _build < {build}"
    old = f"SELECT profile_id FROM {relation(lake.profiles, gone) or none} ANTI JOIN ({untouched}) USING (profile_id)"
    changes = f"""SELECT profile_id, CASE WHEN o.profile_id IS NULL THEN 'inserted' ELSE 'updated' END AS change
        FROM ({fresh}) f LEFT JOIN ({old}) o USING (profile_id)
        UNION ALL SELECT profile_id, 'merged_away' FROM ({old}) ANTI JOIN ({fresh}) USING (profile_id)"""
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
    source = relation(lake.profiles, (file.path for file in files_of(lake.profiles)))
    if source is None:
        return {"profiles": 0, "quarantined": 0}
    with lake.workspace() as (connection, _):
        query = f"SELECT count(*) FILTER (NOT _quarantined) AS profiles, count(*) FILTER (_quarantined) AS quarantined FROM {source}"
        found: dict[str, int] = rows(connection, query)[0]
        return found
