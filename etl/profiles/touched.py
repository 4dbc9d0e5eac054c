"""What an incremental build touches: stored identifiers near the new ones, and who they belong to now.

Every table here is a temporary one of the build's connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from etl.engines.local import Connection, rows
from etl.engines.sql import identifier, quote
from etl.lake.layout import Lake
from etl.profiles.fields import ProfileField
from etl.profiles.fragments import id_column
from etl.profiles.packing import PACKED_IDENTIFIERS, needed_columns, unpacked_identifiers
from etl.profiles.resolve import assign, head_query, links_query, nodes_query, profile_id
from etl.profiles.stored import current_identifiers, current_profiles, short_hash

_NOBODY = "SELECT CAST(0 AS BIGINT) AS _component_hash WHERE FALSE"
_NO_PROFILES = f"""SELECT '' AS profile_id, CAST(NULL AS TIMESTAMPTZ) AS first_seen, CAST(NULL AS TIMESTAMPTZ) AS last_seen,
    CAST(0 AS BIGINT) AS _records, '' AS _component, '' AS {PACKED_IDENTIFIERS} WHERE FALSE"""


def find_components(connection: Connection, lake: Lake, fields: Sequence[ProfileField], namespaces: Sequence[str]) -> None:
    """Makes `held`, the stored profiles of every component that the identifiers of `new_fragments` and `old_fragments` touch,
    with what is needed of them to be merged, `near(namespace, value, first, profile_id, component)`, their identifiers,
    `touched(profile_id)`, and `old_ids`, the identifiers of `old_fragments`."""
    for name in ("new", "old"):
        connection.execute(
            f"""CREATE TEMP TABLE {name}_ids AS
            SELECT DISTINCT namespace, value FROM ({nodes_query(f"{name}_fragments", namespaces)})"""
        )
    # Everybody's are compared, so they are numbers. Two components of one number come along together, which changes neither.
    connection.execute(
        f"""CREATE TEMP TABLE wanted AS SELECT DISTINCT {short_hash(profile_id("namespace", "value"))} AS _hash
        FROM (SELECT * FROM new_ids UNION ALL SELECT * FROM old_ids)"""
    )
    meant = current_identifiers(lake, "_hash IN (SELECT _hash FROM wanted)")
    connection.execute(f"CREATE TEMP TABLE components AS {f'SELECT DISTINCT _component_hash FROM {meant}' if meant else _NOBODY}")
    stored = current_profiles(lake, where="_component_hash IN (SELECT _component_hash FROM components)")
    known = columns_of(connection, stored) if stored else set()
    columns = ["profile_id", "first_seen", "last_seen", "_records", "_component", PACKED_IDENTIFIERS, *needed_columns(fields, known)]
    held = f"SELECT {', '.join(columns)} FROM {stored}" if stored else _NO_PROFILES
    connection.execute(f"CREATE TEMP TABLE held AS {held}")
    connection.execute(f"CREATE TEMP TABLE near AS {unpacked_identifiers('held')}")
    connection.execute("CREATE TEMP TABLE touched AS SELECT profile_id FROM held")


def columns_of(connection: Connection, source: str) -> set[str]:
    """The columns of a table or query, quoted."""
    found = rows(connection, f"SELECT column_name FROM (DESCRIBE SELECT * FROM {source})")
    return {identifier(row["column_name"]) for row in found}


def resolve_touched(connection: Connection, namespaces: Sequence[str], make_fragments: Callable[[str, Iterable[str]], None]) -> None:
    """Makes `assigned` and `refused` of everything touched, and what their profiles are merged of: `merged_fragments`, new ones
    that come to `moved(old_id, profile_id)`, profiles that are stored and whole; and `recomputed_fragments`, all those of
    whom too little is stored.

    `make_fragments(view, loads)` makes a view over the fragments of loads.
    """
    # Step 1: components as if everything stored were still linked. Where one holds a replaced load, or a second exclusive
    # identifier, all its links have to be looked at again; the others can only grow together.
    connection.execute(
        f"""CREATE TEMP TABLE id_nodes AS {nodes_query("new_fragments", namespaces)}
        UNION ALL SELECT namespace, value, first FROM near"""
    )
    connection.execute(f"CREATE TEMP TABLE id_links AS {links_query('new_fragments', namespaces)} UNION ALL {_stars('near')}")
    assign(connection, namespaces)
    connection.execute(
        """CREATE TEMP TABLE replaced AS SELECT namespace, value FROM assigned WHERE component IN (
            SELECT component FROM assigned SEMI JOIN old_ids USING (namespace, value))"""
    )
    connection.execute(
        """CREATE TEMP TABLE relinked AS SELECT namespace, value FROM assigned WHERE component IN (
            SELECT component FROM assigned GROUP BY component HAVING count(*) FILTER (rank = 0) > 1)
            UNION SELECT namespace, value FROM replaced"""
    )
    _resolve(connection, namespaces)
    _divide(connection, namespaces, make_fragments)


def _resolve(connection: Connection, namespaces: Sequence[str]) -> None:
    """Step 2: the links that count. Those of `relinked` come from fragments alone, of which their identifiers suffice."""
    of_name = "SELECT value FROM relinked WHERE namespace ="
    ids = ", ".join(id_column(name) for name in namespaces)
    named = " UNION ".join(
        f"SELECT load, _first, {ids} FROM every_fragment WHERE {id_column(name)} IN ({of_name} {quote(name)})" for name in namespaces
    )
    if not rows(connection, "SELECT 1 FROM relinked LIMIT 1"):
        named = f"SELECT load, _first, {ids} FROM every_fragment WHERE FALSE"
    connection.execute(f"CREATE TEMP TABLE linking AS {named}")
    head_namespace, head_value = head_query(namespaces)
    connection.execute(
        f"""CREATE TEMP VIEW growing AS SELECT * FROM new_fragments
        WHERE ({head_namespace}, {head_value}) NOT IN (SELECT (namespace, value) FROM relinked)"""
    )
    connection.execute("CREATE TEMP TABLE linked_before AS SELECT * FROM near ANTI JOIN relinked USING (namespace, value)")
    sources = ("linking", "growing")
    nodes = [*(nodes_query(source, namespaces) for source in sources), "SELECT namespace, value, first FROM linked_before"]
    links = [*(links_query(source, namespaces) for source in sources), _stars("linked_before")]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_nodes AS {' UNION ALL '.join(nodes)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_links AS {' UNION ALL '.join(links)}")
    assign(connection, namespaces)


def _divide(connection: Connection, namespaces: Sequence[str], make_fragments: Callable[[str, Iterable[str]], None]) -> None:
    """Step 3: a profile whose identifiers stayed together, and of which no load was replaced, goes on from what is stored. Of
    the others all fragments are merged again."""
    # An identifier that nobody has any more belongs to a replaced load.
    connection.execute(
        """CREATE TEMP TABLE moved AS SELECT n.profile_id AS old_id, any_value(a.profile_id) AS profile_id
        FROM near n LEFT JOIN assigned a USING (namespace, value)
        WHERE n.profile_id NOT IN (SELECT profile_id FROM near SEMI JOIN replaced USING (namespace, value))
        GROUP BY n.profile_id HAVING count(DISTINCT a.profile_id) = 1 AND count(*) = count(a.profile_id)"""
    )
    connection.execute(
        """CREATE TEMP TABLE anew AS SELECT namespace, value FROM replaced
        UNION SELECT namespace, value FROM near WHERE profile_id NOT IN (SELECT old_id FROM moved)"""
    )
    head_namespace, head_value = head_query(namespaces)
    head = f"({head_namespace}, {head_value})"
    of_anew = f"{head} IN (SELECT (namespace, value) FROM anew)"
    make_fragments("fragments_anew", [row["load"] for row in rows(connection, f"SELECT DISTINCT load FROM linking WHERE {of_anew}")])
    connection.execute(f"CREATE TEMP TABLE recomputed_fragments AS SELECT * FROM fragments_anew WHERE {of_anew}")
    connection.execute(
        f"CREATE TEMP VIEW merged_fragments AS SELECT * FROM new_fragments WHERE {head} NOT IN (SELECT (namespace, value) FROM anew)"
    )


def _stars(table: str) -> str:
    """SQL for links that hold together the identifiers of each component."""
    return f"""SELECT f.namespace AS left_namespace, f.value AS left_value,
            n.namespace AS right_namespace, n.value AS right_value, n.first
        FROM {table} n JOIN (
            SELECT component, arg_min(namespace, (namespace, value)) AS namespace, arg_min(value, (namespace, value)) AS value
            FROM {table} GROUP BY component) f USING (component)
        WHERE (f.namespace, f.value) <> (n.namespace, n.value)"""
