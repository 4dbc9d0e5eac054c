"""Records to mapped rows, by statements over some megabytes of them at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import pyarrow as pa

from etl.engines.local import InvalidInput, Workspace, arrow, in_order, one_thread, rows
from etl.engines.memory import give_back
from etl.engines.spool import Spool
from etl.engines.sql import identifier
from etl.lake.layout import Lake
from etl.mapping import Mapping
from etl.mapping.pii import hashed_query, hashing_of
from etl.mapping.plan import IS_OBJECT, JSON_BUT_NOT_OBJECT, NOT_OBJECT, Plan, plan
from etl.mapping.read_columns import ReadColumns
from etl.pipeline.mapped_rows import KEY, KEY_HASH
from etl.pipeline.reading import Digest, Digests, Piece
from etl.profiles.fields import StreamFields
from etl.profiles.fragments import identified_query
from etl.profiles.privacy import without_suppressed
from etl.records import LONGEST_SHOWN

# Raw text that is mapped by one statement: planning one takes as long as mapping a few megabytes, and the rows of one are
# held in memory a few times over.
MAPPED_BYTES = 32 * 1024 * 1024
_WORD = re.compile(r"\w+")
_NOTHING = ReadColumns()


@dataclass(frozen=True)
class Plans:
    """The statements of a mapping: for lines of text (`careful`), and for those that the kernel took."""

    mapping: Mapping
    fields: StreamFields
    careful: Plan
    shredded: Plan


def plans_of(mapping: Mapping, fields: StreamFields) -> Plans:
    return Plans(mapping, fields, plan(mapping), plan(mapping, shredded=True))


class MappedRecords:
    """Maps the records that are added, piece after piece; `finish` gives what became of them.

    `times` are those of the loads, by `load_ix`; `at_once` bytes of text are mapped by one statement.
    """

    def __init__(self, workspace: Workspace, lake: Lake, plans: Plans, times: Sequence[datetime], at_once: int = MAPPED_BYTES) -> None:
        (self._connection, scratch), self._lake, self._plans = workspace, lake, plans
        # What is hashed goes through the database.
        hashed = [one.name for one in plans.mapping.fields if one.pii] if hashing_of(plans.mapping) else []
        self._read = plans.shredded.read.without(hashed)
        self._taken: list[pa.Table] = []
        self._rest: list[pa.Table] = []
        self._bytes = 0
        self._at_once = at_once
        self._rows = Spool(scratch, at_once)
        self._first: pa.Schema | None = None
        self._rejects = Spool(scratch, at_once)
        self._digests = Digests()
        loads = {
            "load_ix": pa.array(range(len(times)), pa.int32()),
            "fallback_time": pa.array([time.astimezone(UTC) for time in times], pa.timestamp("us", tz="UTC")),
        }
        self._connection.register("loads", pa.table(loads))
        self.size = 0

    def add(self, piece: Piece) -> None:
        if self._bytes + piece.size > self._at_once:
            self._map()
        self._bytes += piece.size
        self.size += piece.size
        self._digests.add(piece.load_ix, piece.hashes)
        if piece.taken is not None:
            self._taken.append(piece.taken)
        if piece.rest.num_rows:
            self._rest.append(piece.rest)

    def finish(self) -> tuple[Spool, Spool]:
        """The rows, in no order: the columns of `Plan.query`, identifiers, and `_key_hash`. And the lines that are no records:
        `load_ix`, `member_ix`, `line`, `code`, and `text`, the beginning of each."""
        self._map()
        return self._rows, self._rejects

    def digests(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """What `Digests.of` gives for all that was mapped."""
        return self._digests.of(chosen)

    def _map(self) -> None:
        taken, self._taken = self._taken, []
        rest, self._rest = self._rest, []
        self._bytes = 0
        give_back()
        if taken:
            self._map_taken(pa.concat_tables(taken))
        if rest:
            self._map_rest(pa.concat_tables(rest), beside=bool(taken))

    def _map_taken(self, records: pa.Table) -> None:
        statement, words = self._of_taken
        self._connection.register("taken", records.select([name for name in records.column_names if name in words]))
        # The rows then come in their order, so that nothing needs to be put into it again.
        with one_thread(self._connection):
            found = arrow(self._connection, statement)
        self._connection.unregister("taken")
        self._keep(self._read.added(found, records))

    def _map_rest(self, records: pa.Table, *, beside: bool) -> None:
        """Lines that no kernel took: `beside` those that one did, most are no JSON at all, so each is looked at first."""
        self._connection.register("rest", records)
        not_object = NOT_OBJECT
        if beside:
            if rows(self._connection, f"SELECT 1 FROM rest WHERE {IS_OBJECT} LIMIT 1"):
                self._keep(self._mapped("rest", self._plans.careful, all_json=False))
        else:
            try:
                # Most files are whole, so a look at each line beforehand, as long as the reading itself, is mostly wasted.
                self._keep(self._mapped("rest", self._plans.careful, all_json=True))
                not_object = JSON_BUT_NOT_OBJECT
            except InvalidInput:
                self._keep(self._mapped("rest", self._plans.careful, all_json=False))
        rejected = arrow(
            self._connection,
            f"""SELECT load_ix, member_ix, line, left(text, {LONGEST_SHOWN * 4}) AS text,
            CASE WHEN starts_with(text, chr(65533)) THEN 'not_utf8' WHEN json_valid(text) THEN 'not_an_object' ELSE 'not_json' END AS code
            FROM rest WHERE {not_object}""",
        )
        if len(rejected):
            self._rejects.add(rejected)
        self._connection.unregister("rest")

    def _keep(self, mapped: pa.Table) -> None:
        self._first = self._first or mapped.schema
        if len(mapped):
            self._rows.add(mapped.select(self._first.names).cast(self._first))

    def _mapped(self, records: str, how: Plan, *, all_json: bool) -> pa.Table:
        # So that the rows of one load mostly stay together.
        with in_order(self._connection):
            return arrow(self._connection, self._statement(records, how, all_json=all_json))

    @cached_property
    def _of_taken(self) -> tuple[str, set[str]]:
        """The statement for shredded lines, and the words in it: it reads no columns but these."""
        statement = self._statement("taken", self._plans.shredded, all_json=True, read=self._read)
        return statement, set(_WORD.findall(statement))

    def _statement(self, records: str, how: Plan, *, all_json: bool, read: ReadColumns = _NOTHING) -> str:
        """SQL for mapped rows, but for the columns that were read."""
        by = self._plans.fields.by
        mapped = how.query(records, all_json=all_json, with_misfits=True, without=read.names.difference(by))
        hashed = f"({hashed_query(self._connection, mapped, self._plans.mapping)})"
        found = without_suppressed(self._connection, self._lake, identified_query(hashed, self._plans.fields), by)
        left_out = ", ".join(identifier(name) for name in by if name in read.names)
        columns = f"* EXCLUDE ({left_out})" if left_out else "*"
        return f"SELECT {columns}, hash({KEY}) AS {KEY_HASH} FROM ({found})"
