"""The rows of `profiles` that a build writes: contributions merged a range of profile ids at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from etl.engines.local import Connection, arrow, rows
from etl.engines.sql import named
from etl.lake.layers import Sizes
from etl.lake.tables import NewFile, Table, relation, schema_of
from etl.profiles.contributions import Contributions
from etl.profiles.cut import Cut, cut
from etl.profiles.fields import ProfileField
from etl.profiles.gathered import Gathered
from etl.profiles.packing import (
    PACKED_IDENTIFIERS,
    packed_identifiers,
    packed_query,
    packing_columns,
    stored_query,
    stored_types,
)
from etl.profiles.stored import IDENTIFIERS, PROFILES, short_hash

# A row that is written, its maps as texts beside them, takes as much memory as so many contributions.
_ROWS_OF_A_PROFILE = 3
_NOBODY = "SELECT '' AS profile_id, FALSE AS _quarantined WHERE FALSE"
_IDENTIFIERS = "STRUCT(namespace VARCHAR, value VARCHAR, first_seen TIMESTAMPTZ)[]"


@dataclass(frozen=True)
class Rows:
    """What the rows of a build have beside their contributions."""

    fields: Sequence[ProfileField]
    max_identifiers: int
    build: int
    sizes: Sizes

    def write(
        self, connection: Connection, scratch: Path, table: Table, contributions: Iterable[Contributions], count: int, *, recent: bool
    ) -> list[NewFile]:
        """Writes the profiles that `contributions` give, about `count` rows by `profile_id`, as a base or as recent files with a row
        for each of `touched` that is gone. Makes `fresh(profile_id, _quarantined)` of those written.

        `assigned` are their identifiers.
        """
        people = int(rows(connection, "SELECT count(DISTINCT profile_id) AS n FROM assigned")[0]["n"])
        # Planning the statement that writes a range takes as long as writing thousands of rows.
        ranges = PROFILES.parts_for(people * _ROWS_OF_A_PROFILE, self.sizes)
        each = -(-PROFILES.parts_for(count, self.sizes) // ranges)
        written: list[NewFile] = []
        with contextlib.closing(Gathered(connection, self.fields, ranges * each, scratch, self.sizes)) as gathered:
            gathered.take(contributions)
            owners = "SELECT profile_id, component, namespace, value, rank, first FROM assigned"
            ranges, each = (1, 1) if gathered.parts == 1 else (ranges, each)
            owned = cut(connection, Cut("owned", "profile_id", ranges, scratch / "owned"), owners, self.sizes, IDENTIFIERS.narrow)
            for part in owned:
                merged = pa.concat_tables([gathered.part(number) for number in range(part * each, (part + 1) * each)])
                if recent:
                    connection.register("merged_rows", merged)
                    query = self._with_identifiers("merged_rows", owned.part(part))
                    gone = f"SELECT profile_id FROM touched WHERE {owned.range(part)} EXCEPT SELECT profile_id FROM merged_rows"
                    written += PROFILES.write_recent(connection, table, f"{query} UNION ALL BY NAME ({self._gone(gone)})")
                else:
                    written += PROFILES.write_base_rows(table, self._base_rows(connection, merged, owned.part(part)), part)
                del merged
        source = relation(table, (file.path for file in written))
        here = f"SELECT profile_id, _quarantined FROM {source} WHERE _records > 0" if source else _NOBODY
        connection.execute(f"CREATE TEMP TABLE fresh AS {here}")
        return written

    def schema(self, connection: Connection, table: Table) -> pa.Schema:
        """The columns of the table `profiles`."""
        types = {"profile_id": "VARCHAR", "first_seen": "TIMESTAMPTZ", "last_seen": "TIMESTAMPTZ", "_records": "BIGINT"}
        types |= stored_types(self.fields)
        types |= {"_identifiers": _IDENTIFIERS, PACKED_IDENTIFIERS: "VARCHAR", "_component": "VARCHAR", "_component_hash": "BIGINT"}
        types |= {"_quarantined": "BOOLEAN", "_build": "BIGINT"}
        return schema_of(connection, f"SELECT {', '.join(f'CAST(NULL AS {type_}) AS {name}' for name, type_ in types.items())}", table)

    def _base_rows(self, connection: Connection, merged: pa.Table, owned: str) -> pa.Table:
        """Merged rows as they are stored. Most of their columns stay as they are, and what is made of others comes beside them."""
        numbered = {"profile_id": merged["profile_id"], "_n": pa.array(np.arange(len(merged)))}
        connection.register("merged_rows", pa.table(numbered | packing_columns(merged, self.fields)))
        query = self._owned("merged_rows", owned, ["m._n", *packed_query("m", self.fields)])
        made = arrow(connection, f"SELECT * FROM ({query}) ORDER BY _n")
        connection.unregister("merged_rows")
        rows_ = merged if len(made) == len(merged) else merged.take(made["_n"])
        columns = {"profile_id": "profile_id", "first_seen": "_first", "last_seen": "_last", "_records": "_records"}
        columns |= {name: name for name in map(named, stored_types(self.fields)) if name not in made.column_names}
        found = {name: rows_[column] for name, column in columns.items()}
        return pa.table(found | {name: made[name] for name in made.column_names if name != "_n"})

    def _with_identifiers(self, merged: str, owned: str) -> str:
        named_ = ["m.profile_id", "m._first AS first_seen", "m._last AS last_seen", "m._records"]
        return self._owned(merged, owned, [*named_, *stored_query("m", self.fields)])

    def _owned(self, merged: str, owned: str, columns: Sequence[str]) -> str:
        """SQL for columns of merged rows `m`, and those that tell whose they are."""
        return f"""SELECT {", ".join(columns)},
                i._identifiers, {packed_identifiers("i._identifiers")} AS {PACKED_IDENTIFIERS},
                i._component, {short_hash("i._component")} AS _component_hash,
                len(i._identifiers) > {self.max_identifiers} AS _quarantined,
                CAST({self.build} AS BIGINT) AS _build
            FROM {merged} m JOIN (
                SELECT profile_id, min(component) AS _component,
                    list({{'namespace': namespace, 'value': value, 'first_seen': first}} ORDER BY rank, value) AS _identifiers
                FROM {owned} GROUP BY profile_id) i USING (profile_id)"""

    def _gone(self, ids: str) -> str:
        """Rows that say that profiles are gone. They count as in quarantine, so whoever leaves that out leaves them out."""
        return (
            f"SELECT profile_id, CAST(0 AS BIGINT) AS _records, TRUE AS _quarantined, CAST({self.build} AS BIGINT) AS _build FROM ({ids})"
        )
