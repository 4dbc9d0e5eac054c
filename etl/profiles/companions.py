"""The tables beside `profiles`: `identifiers`, which is derived from it alone, and `conflicts`; and counts."""

from __future__ import annotations

from etl.engines.local import Connection, rows
from etl.lake.layout import Lake
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, transaction_of, write_file
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


def write_conflicts(lake: Lake, connection: Connection, build: int, full: bool) -> None:
    """Brings the table `conflicts` up to a build: links not followed, those of components that it did not touch kept."""
    old = files_of(lake.conflicts)
    source = None if full else relation(lake.conflicts, (file.path for file in old))
    query = "SELECT * FROM refused"
    if source is not None:
        untouched = f"""SELECT * EXCLUDE (build) FROM {source} c
            ANTI JOIN assigned a ON a.namespace = c.left_namespace AND a.value = c.left_value"""
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
