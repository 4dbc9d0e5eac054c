"""What an incremental build touches: stored identifiers near the new ones, and who they belong to now.

Every table here is a temporary one of the build's connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from etl.engines.local import Connection, rows
from etl.engines.sql import quote
from etl.lake.layout import Lake
from etl.profiles.fragments import id_column
from etl.profiles.resolve import assign, head_query, links_query, nodes_query, profile_id
from etl.profiles.stored import current_identifiers, short_hash

_NOBODY = "SELECT '' AS component, CAST(0 AS BIGINT) AS _component_hash WHERE FALSE"
_NOBODY_NEAR = """SELECT '' AS namespace, '' AS value, CAST(NULL AS TIMESTAMPTZ) AS first, '' AS profile_id, '' AS component
    WHERE FALSE"""
_NO_FRAGMENTS = "SELECT '' AS load, '' AS _identity WHERE FALSE"


def find_components(connection: Connection, lake: Lake, namespaces: Sequence[str]) -> None:
    """Makes `near(namespace, value, first, profile_id, component)`, the stored identifiers of every component that the
    identifiers of `new_fragments` and `old_fragments` touch, `old_ids`, those of the latter, and `touched(profile_id)`."""
    for name in ("new", "old"):
        connection.execute(
            f"""CREATE TEMP TABLE {name}_ids AS
            SELECT DISTINCT namespace, value FROM ({nodes_query(f"{name}_fragments", namespaces)})"""
        )
    # Numbers first: the identifiers of everybody are compared with them, and only what may be meant is looked at closely.
    connection.execute(
        f"""CREATE TEMP TABLE wanted AS SELECT namespace, value, {short_hash(profile_id("namespace", "value"))} AS _hash
        FROM (SELECT * FROM new_ids UNION SELECT * FROM old_ids)"""
    )
    held = current_identifiers(lake, "_hash IN (SELECT _hash FROM wanted)")
    meant = f"SELECT DISTINCT _component AS component, _component_hash FROM {held} h SEMI JOIN wanted USING (namespace, value)"
    connection.execute(f"CREATE TEMP TABLE components AS {meant if held else _NOBODY}")
    members = current_identifiers(lake, "_component_hash IN (SELECT _component_hash FROM components)")
    columns = "namespace, value, first_seen AS first, profile_id, _component AS component"
    near = f"SELECT {columns} FROM {members} m WHERE _component IN (SELECT component FROM components)"
    connection.execute(f"CREATE TEMP TABLE near AS {near if members else _NOBODY_NEAR}")
    connection.execute("CREATE TEMP TABLE touched AS SELECT DISTINCT profile_id FROM near")


def resolve_touched(connection: Connection, namespaces: Sequence[str], make_fragments: Callable[[str, Iterable[str]], None]) -> None:
    """Makes `assigned` and `refused` of everything touched, and of its fragments the tables `recomputed_fragments`, for people
    who are to be computed anew, and `merged_fragments`, which come to what is stored of the identifiers `kept`.

    `make_fragments(view, loads)` makes a view over the fragments of loads.
    """
    # Step 1: components as if everything stored were still linked. Whoever shares one with a replaced load, or with
    # a second exclusive identifier, is recomputed from fragments; the others can only grow together.
    connection.execute(
        f"""CREATE TEMP TABLE id_nodes AS {nodes_query("new_fragments", namespaces)}
        UNION ALL SELECT namespace, value, first FROM near"""
    )
    connection.execute(f"CREATE TEMP TABLE id_links AS {links_query('new_fragments', namespaces)} UNION ALL {_stars('near')}")
    assign(connection, namespaces)
    connection.execute(
        """CREATE TEMP TABLE recomputed AS SELECT namespace, value FROM assigned WHERE component IN (
            SELECT component FROM assigned GROUP BY component HAVING count(*) FILTER (rank = 0) > 1
            UNION SELECT component FROM assigned SEMI JOIN old_ids USING (namespace, value))"""
    )
    # Step 2: the links that count. Recomputed identifiers take theirs from fragments alone.
    _find_recomputed(connection, namespaces, make_fragments)
    head_namespace, head_value = head_query(namespaces)
    connection.execute(
        f"""CREATE TEMP VIEW merged_fragments AS SELECT * FROM new_fragments
        WHERE ({head_namespace}, {head_value}) NOT IN (SELECT (namespace, value) FROM recomputed)"""
    )
    connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM near ANTI JOIN recomputed USING (namespace, value)")
    sources = ("recomputed_fragments", "merged_fragments")
    nodes = [*(nodes_query(source, namespaces) for source in sources), "SELECT namespace, value, first FROM kept"]
    links = [*(links_query(source, namespaces) for source in sources), _stars("kept")]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_nodes AS {' UNION ALL '.join(nodes)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_links AS {' UNION ALL '.join(links)}")
    assign(connection, namespaces)


def _find_recomputed(connection: Connection, namespaces: Sequence[str], make_fragments: Callable[[str, Iterable[str]], None]) -> None:
    """Who is recomputed is found by identifiers alone; then only the loads that have them are read with all their columns."""
    of_name = "SELECT value FROM recomputed WHERE namespace ="
    named = " UNION ".join(
        f"SELECT load, _identity FROM every_fragment WHERE {id_column(name)} IN ({of_name} {quote(name)})" for name in namespaces
    )
    found = rows(connection, "SELECT 1 FROM recomputed LIMIT 1")
    connection.execute(f"CREATE TEMP TABLE concerned AS {named if found else _NO_FRAGMENTS}")
    make_fragments("loads_concerned", [row["load"] for row in rows(connection, "SELECT DISTINCT load FROM concerned")])
    connection.execute(
        """CREATE TEMP TABLE recomputed_fragments AS
        SELECT * FROM loads_concerned WHERE _identity IN (SELECT _identity FROM concerned)"""
    )


def _stars(table: str) -> str:
    """SQL for links that hold together the identifiers of each component."""
    return f"""SELECT f.namespace AS left_namespace, f.value AS left_value,
            n.namespace AS right_namespace, n.value AS right_value, n.first
        FROM {table} n JOIN (
            SELECT component, arg_min(namespace, (namespace, value)) AS namespace, arg_min(value, (namespace, value)) AS value
            FROM {table} GROUP BY component) f USING (component)
        WHERE (f.namespace, f.value) <> (n.namespace, n.value)"""
