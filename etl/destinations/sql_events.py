"""Mapped events in a database: `<table>_<stream>` has a row per event, `<table>_loads` tells which loads they hold.

Events of a load never change: a load that was imported again has another attempt, and its rows are replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from etl.destinations.events import EVENT_KEYS, Events
from etl.destinations.sql_rows import Counts, row_query
from etl.destinations.sql_tables import (
    DATE,
    Existing,
    check_names,
    compare_tables,
    evolve,
    exact_text,
    field_columns,
    kinds_of,
    refuse_foreign,
)
from etl.engines.local import Connection
from etl.lake.loads import Load

FieldsByStream = dict[str, dict[str, str]]
Append = Callable[[sa.Connection, Connection, sa.Table[Any], str, Counts], int]

_LOADS = 500  # in one DELETE


class EventLoad:
    """A load of events into the tables whose names begin with `table`. Making one makes the tables and columns that are
    missing, before anything is written: MySQL ends a transaction there. `append` puts the rows of a query into a table;
    `known` are the streams that were loaded before: tables of others that hold rows are somebody's, and refused."""

    def __init__(
        self, database: sa.Connection, streams: Sequence[Events], table: str, destination: str, append: Append, known: Collection[str]
    ) -> None:
        self.database, self.streams, self.append = database, streams, append
        self.loads = _loads_table(table)
        self.tables = {events.stream: _events_table(table, events) for events in streams}
        everything = [self.loads, *self.tables.values()]
        for one in everything:
            check_names(one, database.dialect, destination)
        foreign = [one for stream, one in self.tables.items() if stream not in known]
        refuse_foreign(database, foreign if known else [self.loads, *foreign], destination)
        self.existing = compare_tables(database, everything, destination)
        evolve(database, self.existing)

    def run(self, connection: Connection, held_fields: FieldsByStream | None, counts: Counts, *, only_held: bool = False) -> bool:
        """Brings the events up to the loads in force, and says whether there was anything to do.

        `held_fields` are those that were written before; None: everything is to be loaded anew. With `only_held` no load is
        added: those that are there are replaced or go.
        """
        held = self.database.execute(sa.select(self.loads)).all()
        changed = bool(self.existing.absent or self.existing.missing)
        for stream in self.streams:
            table = self.tables[stream.stream]
            before = {row.load: row.attempt for row in held if row.stream == stream.stream}
            events = stream.only(before) if only_held else stream
            anew = held_fields is None or _is_to_be_loaded_anew(table, self.existing, held_fields.get(events.stream, {}))
            new = {name: load for name, load in events.loads.items() if anew or before.get(name) != load.attempt}
            old = [name for name in before if name in new or not (name in events.loads or name in events.replaced)]
            if new or old:
                self._delete(table, old)
                query = row_query(events.query(new), EVENT_KEYS, events.fields)
                counts.events += self.append(self.database, connection, table, query, counts)
                self._remember(new)
                changed = True
        return changed

    def _delete(self, table: sa.Table[Any], old: Sequence[str]) -> None:
        for start in range(0, len(old), _LOADS):
            for one in (table, self.loads):
                self.database.execute(sa.delete(one).where(one.c.load.in_(old[start : start + _LOADS])))

    def _remember(self, new: dict[str, Load]) -> None:
        rows = [{"load": name, "stream": load.stream, "attempt": load.attempt, "rows": load.rows} for name, load in new.items()]
        if rows:
            self.database.execute(sa.insert(self.loads), rows)


def fields_of(streams: Sequence[Events]) -> FieldsByStream:
    """The fields of each stream, as the state keeps them."""
    return {events.stream: kinds_of(events.fields) for events in streams}


def _is_to_be_loaded_anew(table: sa.Table[Any], existing: Existing, held: dict[str, str]) -> bool:
    """Whether a column is to be written again that was not written for a while, or that somebody dropped. A column for
    a new field needs nothing: what is loaded already has no value for it."""
    missing = {column.name for column in existing.missing if column.table is table}
    fields = {column.name for column in table.columns} - EVENT_KEYS.keys()
    return table in existing.absent or any((name in missing) == (name in held) for name in fields)


def _events_table(name: str, events: Events) -> sa.Table[Any]:
    return sa.Table(
        f"{name}_{events.stream}",
        sa.MetaData(),
        sa.Column("load", exact_text(255), nullable=False, index=True),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("_time", DATE, index=True),
        sa.Column("_key", sa.Text()),
        *field_columns(events.fields),
    )


def _loads_table(name: str) -> sa.Table[Any]:
    return sa.Table(
        f"{name}_loads",
        sa.MetaData(),
        sa.Column("load", exact_text(255), primary_key=True),
        sa.Column("stream", sa.String(100), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger()),
    )
