"""Identity over tables: from rows of identifiers to `assigned`, the profile of every identifier.

Works on two temporary tables of a connection: `id_nodes(namespace, value, first)` and
`id_links(left_namespace, left_value, right_namespace, right_value, first)`, duplicates allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from etl.engines.local import Connection, arrow
from etl.engines.sql import quote
from etl.profiles.fragments import id_column
from etl.profiles.identity import Codes, Links, Resolution, resolve


def nodes_query(source: str, namespaces: Sequence[str], also: Sequence[str] = ()) -> str:
    """SQL for the identifiers in rows that have id columns and `_first`; with the columns `also` of these rows."""
    more = "".join(f", {column}" for column in also)
    return " UNION ALL ".join(
        f"SELECT {quote(name)} AS namespace, {column} AS value, _first AS first{more} FROM {source} WHERE {column} IS NOT NULL"
        for name, column in ((name, id_column(name)) for name in namespaces)
    )


def links_query(source: str, namespaces: Sequence[str], also: Sequence[str] = ()) -> str:
    """SQL for the links in such rows: each identifier of a row to the row's most trusted one."""
    more = "".join(f", {column}" for column in also)
    parts = []
    for place in range(1, len(namespaces)):
        earlier = namespaces[:place]
        left = " ".join(f"WHEN {id_column(name)} IS NOT NULL THEN {quote(name)}" for name in earlier)
        value = ", ".join(id_column(name) for name in earlier)
        right = id_column(namespaces[place])
        head = value if len(earlier) == 1 else f"coalesce({value})"
        parts.append(
            f"SELECT CASE {left} END AS left_namespace, {head} AS left_value, {quote(namespaces[place])} AS right_namespace, "
            f"{right} AS right_value, _first AS first{more} FROM {source} WHERE {right} IS NOT NULL AND {head} IS NOT NULL"
        )
    nothing = f"""SELECT '' AS left_namespace, '' AS left_value, '' AS right_namespace, '' AS right_value,
        CAST(NULL AS TIMESTAMPTZ) AS first{more} FROM {source} WHERE FALSE"""
    return " UNION ALL ".join(parts) if parts else nothing


def head_query(namespaces: Sequence[str]) -> tuple[str, str]:
    """SQL for the namespace and value of a row's most trusted identifier."""
    names = " ".join(f"WHEN {id_column(name)} IS NOT NULL THEN {quote(name)}" for name in namespaces)
    return f"CASE {names} END", f"coalesce({', '.join(id_column(name) for name in namespaces)}, NULL)"


def profile_id(namespace: str, value: str) -> str:
    """SQL for the profile id that an identifier gives: the first 32 hex digits of a SHA-256."""
    return f"left(sha256({namespace} || chr(31) || {value}), 32)"


def profile_id_of(namespace: str, value: str) -> str:
    """The same of one identifier."""
    return hashlib.sha256(f"{namespace}\x1f{value}".encode()).hexdigest()[:32]


def assign(connection: Connection, namespaces: Sequence[str]) -> None:
    """Makes `assigned(code, namespace, value, first, component, profile_id, id_hash)` and `refused(left_namespace, ..)`, and
    drops what it works on.

    A profile's id is the hash of its identifier smallest by (first seen, trust, value). `component` is the id hash of
    the component's smallest identifier.
    """
    ranks = " ".join(f"WHEN {quote(name)} THEN {place}" for place, name in enumerate(namespaces))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE id_codes AS
        SELECT row_number() OVER (ORDER BY rank, value) - 1 AS code, * FROM (
            SELECT namespace, value, CASE namespace {ranks} END AS rank, min(first) AS first
            FROM id_nodes GROUP BY namespace, value)"""
    )
    nodes = arrow(connection, "SELECT code, rank FROM id_codes ORDER BY code")
    links = arrow(
        connection,
        """SELECT l.code AS left_code, r.code AS right_code, epoch_us(min(k.first)) AS first FROM id_links k
        JOIN id_codes l ON l.namespace = k.left_namespace AND l.value = k.left_value
        JOIN id_codes r ON r.namespace = k.right_namespace AND r.value = k.right_value
        GROUP BY l.code, r.code""",
    )
    found = resolve(Links(_codes(nodes, "rank"), _codes(links, "left_code"), _codes(links, "right_code"), _codes(links, "first")))
    _publish(connection, found, links)
    for table in ("id_nodes", "id_links", "id_codes"):
        connection.execute(f"DROP TABLE {table}")


def resolve_all(connection: Connection, source: str, namespaces: Sequence[str]) -> None:
    """`assign` for all identifiers and links of rows that have id columns and `_first`."""
    # The rows are read once, and there are many times as many as combinations, let alone identifiers: the tables have each once.
    ids = ", ".join(map(id_column, namespaces))
    combined = f"SELECT {ids}, min(_first) AS _first FROM {source} GROUP BY {ids}" if ids else f"SELECT _first FROM {source} WHERE FALSE"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_rows AS {combined}")
    nodes = f"SELECT namespace, value, min(first) AS first FROM ({nodes_query('id_rows', namespaces)}) GROUP BY namespace, value"
    ends = "left_namespace, left_value, right_namespace, right_value"
    links = f"SELECT {ends}, min(first) AS first FROM ({links_query('id_rows', namespaces)}) GROUP BY {ends}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_nodes AS {nodes}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE id_links AS {links}")
    connection.execute("DROP TABLE id_rows")
    assign(connection, namespaces)


def _publish(connection: Connection, found: Resolution, links: pa.Table) -> None:
    codes = pa.array(np.arange(len(found.component), dtype=np.int64))
    connection.register("id_labels", pa.table({"code": codes, "component_label": found.component, "profile_label": found.profile}))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE assigned AS
        SELECT code, namespace, value, first, rank, {profile_id("namespace", "value")} AS id_hash,
            first_value(id_hash) OVER (PARTITION BY component_label ORDER BY code) AS component,
            first_value(id_hash) OVER (PARTITION BY profile_label ORDER BY first, rank, value) AS profile_id
        FROM id_codes JOIN id_labels USING (code)"""
    )
    connection.register("id_refused", links.take(pa.array(found.refused, pa.int64())))
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE refused AS
        SELECT l.namespace AS left_namespace, l.value AS left_value, r.namespace AS right_namespace,
            r.value AS right_value, make_timestamptz(f.first) AS first
        FROM id_refused f JOIN id_codes l ON l.code = f.left_code JOIN id_codes r ON r.code = f.right_code"""
    )
    connection.unregister("id_labels")
    connection.unregister("id_refused")


def _codes(table: pa.Table, column: str) -> Codes:
    return np.asarray(table.column(column).to_numpy(), dtype=np.int64)
