"""Suppressed people in raw records: which lines are theirs, and keeping such lines out of the landing folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa

from etl.engines.local import Connection, rows
from etl.lake.layout import Lake
from etl.landing.manifest import Landed
from etl.landing.members import records_of
from etl.landing.scrub import without_lines
from etl.mapping import Mapping, udfs
from etl.mapping.pii import hashed_query
from etl.mapping.plan import IS_OBJECT, plan
from etl.profiles.fields import of_mapping
from etl.profiles.fragments import identified_query
from etl.profiles.privacy import Identifier, Suppression, load_suppression, owner_suppressed_sql

# Shorter identifiers stand in anybody's records by chance.
_SHORTEST_MENTION = 4


@dataclass
class Lines:
    """Lines of an attempt by member: those of suppressed people, of which `rejects` are no JSON objects, and how many
    lines of other people mention one of the identifiers looked for."""

    own: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    rejects: int = 0
    mentions: int = 0

    @property
    def count(self) -> int:
        return sum(len(lines) for lines in self.own.values())


def find_lines(lake: Lake, landed: Landed, mapping: Mapping, suppression: Suppression, mentioned: Iterable[Identifier] = ()) -> Lines:
    """The lines of suppressed people in the raw files of an attempt, read as `mapping` reads them, whether its `where` lets
    them through or not. `mentioned` are identifiers to look for in everybody else's lines."""
    by = [mapping.field(name) for name in mapping.by]
    ids_mapping = replace(mapping, fields=tuple(by), where=None)
    ids = plan(ids_mapping)
    fields = of_mapping(mapping)
    found = Lines()
    with lake.workspace() as (connection, _):
        udfs.register(connection)
        suppression.prepare(connection)
        time = pa.table({"load_ix": pa.array([0], pa.int32()), "fallback_time": pa.array([landed.time], pa.timestamp("us", tz="UTC"))})
        connection.register("loads", time)
        mention = _prepare_mentions(connection, mentioned)
        identified = identified_query(f"({hashed_query(connection, ids.query('records'), ids_mapping)})", fields)
        own = f"SELECT member_ix, line FROM ({identified}) WHERE {owner_suppressed_sql(fields.by)}"
        for block in records_of(landed, 0):
            connection.register("records", block)
            for row in rows(connection, own) if by else ():
                found.own[landed.members[row["member_ix"]]].add(row["line"])
            _add_rejects(connection, landed, suppression, found)
            if mention:
                _count_mentions(connection, landed, found)
            connection.unregister("records")
    return found


def scrubber(lake: Lake, mapping: Mapping) -> Callable[[Landed], Landed]:
    """What takes suppressed people's records out of attempts before they get their place in the landing folder."""
    suppression = load_suppression(lake)
    if suppression is None:
        return lambda landed: landed

    def scrub(landed: Landed) -> Landed:
        return without_lines(landed, find_lines(lake, landed, mapping, suppression).own)

    return scrub


def _add_rejects(connection: Connection, landed: Landed, suppression: Suppression, found: Lines) -> None:
    for row in rows(connection, f"SELECT member_ix, line, text FROM records WHERE NOT ({IS_OBJECT})"):
        if suppression.names(row["text"]):
            found.own[landed.members[row["member_ix"]]].add(row["line"])
            found.rejects += 1


def _prepare_mentions(connection: Connection, identifiers: Iterable[Identifier]) -> bool:
    """Lets `_count_mentions` work; whether there is anything to look for. No error text may quote an identifier, so they
    stand in a variable."""
    values = sorted({value for _, value in identifiers if len(value) >= _SHORTEST_MENTION})
    pattern = "|".join(re.escape(value) for value in values)
    connection.execute("SET VARIABLE mentioned = ?", [f"(^|[^A-Za-z0-9])({pattern})([^A-Za-z0-9]|$)"])
    return bool(values)


def _count_mentions(connection: Connection, landed: Landed, found: Lines) -> None:
    for row in rows(connection, "SELECT member_ix, line FROM records WHERE regexp_matches(text, getvariable('mentioned'))"):
        found.mentions += row["line"] not in found.own[landed.members[row["member_ix"]]]
