"""Suppressed people in raw records: which lines are theirs, and keeping such lines out of the landing folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from etl.engines.local import Connection, rows
from etl.lake.layout import Lake
from etl.landing.manifest import Landed
from etl.landing.members import records_of
from etl.landing.scrub import without_lines
from etl.mapping import Mapping, udfs
from etl.mapping.pii import hashed_query
from etl.mapping.plan import IS_OBJECT, plan
from etl.pipeline.project import Project
from etl.profiles.fields import of_mapping
from etl.profiles.fragments import identified_query
from etl.profiles.privacy import Identifier, Suppression, load_suppression, owner_suppressed_sql

# Shorter identifiers stand in anybody's records by chance.
_SHORTEST_MENTION = 4
_MENTIONS = "SELECT load_ix, member_ix, line FROM records WHERE regexp_matches(text, getvariable('mentioned'))"
_BATCH_BYTES = 16 * 1024 * 1024


@dataclass
class Lines:
    """Lines of an attempt by member: those of suppressed people, and how many lines of others mention one of the
    identifiers looked for."""

    own: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    mentions: int = 0

    @property
    def count(self) -> int:
        return sum(len(lines) for lines in self.own.values())


def find_lines(
    lake: Lake, attempts: Sequence[Landed], mapping: Mapping, suppression: Suppression, mentioned: Iterable[Identifier] = ()
) -> list[Lines]:
    """The lines of suppressed people in the raw files of attempts, for each of them: read as `mapping` reads them, whether
    its `where` lets them through or not. `mentioned` are identifiers to look for in everybody else's lines."""
    ids_mapping = replace(mapping, fields=tuple(mapping.field(name) for name in mapping.by), where=None)
    ids, fields = plan(ids_mapping), of_mapping(mapping)
    found = [Lines() for _ in attempts]
    with lake.workspace() as (connection, _):
        udfs.register(connection)
        suppression.prepare(connection)
        times = pa.array([one.time for one in attempts], pa.timestamp("us", tz="UTC"))
        connection.register("loads", pa.table({"load_ix": pa.array(range(len(attempts)), pa.int32()), "fallback_time": times}))
        mention = _prepare_mentions(connection, mentioned)
        identified = identified_query(f"({hashed_query(connection, ids.query('records'), ids_mapping)})", fields)
        own = f"SELECT load_ix, member_ix, line FROM ({identified}) WHERE {owner_suppressed_sql(fields.by)}"
        for records in _batches(attempts):
            connection.register("records", records)
            for row in rows(connection, own) if fields.by else ():
                _lines_in(found, attempts, row).add(row["line"])
            for row in rows(connection, f"SELECT load_ix, member_ix, line, text FROM records WHERE NOT ({IS_OBJECT})"):
                if suppression.names(row["text"]):
                    _lines_in(found, attempts, row).add(row["line"])
            for row in rows(connection, _MENTIONS) if mention else ():
                found[row["load_ix"]].mentions += row["line"] not in _lines_in(found, attempts, row)
            connection.unregister("records")
    return found


def suppression_warning(project: Project) -> str | None:
    """What to do where identifiers are hashed otherwise now than when people were forgotten: they would come back, since
    what is stored of them matches nothing any more."""
    suppression = load_suppression(project.lake)
    if suppression is None or not suppression.hashings or project.identifier_hashing() in suppression.hashings:
        return None
    return (
        "people were forgotten while their identifiers were hashed in another way (another `pii_key`, or other fields marked `pii`), and\n"
        "imports do not know them now: run `profilemill forget` with the plain values of everybody who was forgotten before"
    )


def _batches(attempts: Sequence[Landed]) -> Iterator[pa.Table]:
    """The records of attempts in tables of some megabytes, small attempts together."""
    batch, size = list[pa.Table](), 0
    for ix, one in enumerate(attempts):
        for block in records_of(one, ix):
            batch.append(block)
            size += block.nbytes
            if size > _BATCH_BYTES:
                yield pa.concat_tables(batch)
                batch, size = [], 0
    if batch:
        yield pa.concat_tables(batch)


def _lines_in(found: list[Lines], attempts: Sequence[Landed], row: dict[str, Any]) -> set[int]:
    ix: int = row["load_ix"]
    return found[ix].own[attempts[ix].members[row["member_ix"]]]


def scrubber(lake: Lake, mapping: Mapping) -> Callable[[Landed], Landed]:
    """What takes suppressed people's records out of attempts before they get their place in the landing folder."""
    suppression = load_suppression(lake)
    if suppression is None:
        return lambda landed: landed

    def scrub(landed: Landed) -> Landed:
        return without_lines(landed, find_lines(lake, [landed], mapping, suppression)[0].own)

    return scrub


def _prepare_mentions(connection: Connection, identifiers: Iterable[Identifier]) -> bool:
    """Lets the query of mentions work; whether there is anything to look for. No error text may quote an identifier, so they
    stand in a variable."""
    values = sorted({value for _, value in identifiers if len(value) >= _SHORTEST_MENTION})
    pattern = "|".join(re.escape(value) for value in values)
    connection.execute("SET VARIABLE mentioned = ?", [f"(^|[^A-Za-z0-9])({pattern})([^A-Za-z0-9]|$)"])
    return bool(values)
