"""Cohort memberships in a database: `<table>_cohort_memberships` has a row per stay of a member in a cohort.

A cohort that changed has another file in the lake; its rows are replaced as a whole, and nobody else's are touched.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from etl.destinations.memberships import NAME, Memberships
from etl.destinations.sql_events import Append
from etl.destinations.sql_rows import Counts, row_query
from etl.destinations.sql_tables import DATE, check_names, compare_tables, evolve, exact_text, refuse_foreign
from etl.engines.local import Connection, rows

# The lake's files that the table holds, with the project and the cohort of each.
HeldFiles = dict[str, list[str]]


class MembershipLoad:
    """A load of memberships into the table whose name begins with `table`. Making one makes the table where it is missing,
    before anything is written: MySQL ends a transaction there. `held` is what was loaded before, None where nothing was:
    then a table with rows in it is somebody's, and refused."""

    def __init__(
        self, database: sa.Connection, memberships: Memberships, table: str, destination: str, append: Append, held: HeldFiles | None
    ) -> None:
        self.database, self.memberships, self.append = database, memberships, append
        self.table = _table(table, memberships)
        check_names(self.table, database.dialect, destination)
        if held is None:
            refuse_foreign(database, [self.table], destination)
        existing = compare_tables(database, [self.table], destination)
        evolve(database, existing)
        self.anew = held is None or bool(existing.absent or existing.missing)
        self.held = held or {}

    def run(self, connection: Connection, *, full: bool, counts: Counts) -> HeldFiles | None:
        """Brings the table up to the lake's; what it holds then, None where it held all of it before."""
        now, anew = self.memberships.files, full or self.anew
        new = [file for file in now if anew or file not in self.held]
        old = [file for file in self.held if file not in now]
        if not (new or old or self.anew):
            return None
        if anew:
            self.database.execute(sa.delete(self.table))
        else:
            for scope, cohort in (self.held[file] for file in old):
                self.database.execute(sa.delete(self.table).where(self.table.c.scope == scope, self.table.c.cohort_id == cohort))
        query = row_query(self.memberships.query(new), self.memberships.columns, ())
        counts.memberships += self.append(self.database, connection, self.table, query, counts)
        kept = {} if anew else {file: cohort for file, cohort in self.held.items() if file in now}
        return kept | {file: _cohort(connection, self.memberships, file) for file in new}


def _cohort(connection: Connection, memberships: Memberships, file: str) -> list[str]:
    (row,) = rows(connection, f"SELECT scope, cohort_id FROM ({memberships.query([file])}) LIMIT 1")
    return [row["scope"], row["cohort_id"]]


def _table(name: str, memberships: Memberships) -> sa.Table[Any]:
    return sa.Table(
        f"{name}_{NAME}",
        sa.MetaData(),
        sa.Column("scope", exact_text(255), nullable=False),
        sa.Column("cohort_id", exact_text(255), nullable=False, index=True),
        sa.Column("cohort_name", sa.Text()),
        *(sa.Column(one, sa.Text()) for one in memberships.by),  # of any length, so without an index
        sa.Column("entered", DATE),
        sa.Column("left", DATE),
    )
