"""Landed attempts to records for the mapping, block by block: lines that the kernel took as columns, all others as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from etl.engines import shred
from etl.engines.local import Connection, InvalidInput, Workspace, arrow, in_order, rows
from etl.engines.sorting import Ints, whole
from etl.engines.sql import identifier
from etl.lake.layout import Lake
from etl.lake.tables import new_token
from etl.landing.manifest import Landed
from etl.landing.members import is_table, records_of_member
from etl.landing.readers import Block, text_blocks, texts
from etl.mapping import Mapping
from etl.mapping.pii import hashed_query, hashing_of
from etl.mapping.plan import IS_OBJECT, JSON_BUT_NOT_OBJECT, NOT_OBJECT, Plan, plan, shredded_table
from etl.profiles.fields import StreamFields
from etl.profiles.fragments import identified_query
from etl.profiles.privacy import without_suppressed

_TIME = pa.timestamp("us", tz="UTC")
_MAP = pa.map_(pa.string(), pa.string())
# Lines that no kernel took, until they are put into the database together.
_REST_BYTES = 8 * 1024 * 1024
# Mapped rows in memory; what is beyond goes to files.
_ROWS_BYTES = 256 * 1024 * 1024
# Raw text that is mapped by one statement: planning one takes as long as mapping a few megabytes.
MAPPED_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True)
class Piece:
    """Some records of a member. `taken`: for the plan of shredded lines, if any; `rest`: the others, as `readers.SCHEMA` has them."""

    taken: pa.Table | None
    rest: pa.Table
    size: int


def pieces_of(landed: Landed, load_ix: int, plan: Plan) -> Iterator[Piece]:
    """The records of an attempt, members in their order. Raises DamagedDownload for a damaged member."""
    fast = plan.wanted is not None and shred.takes(plan.wanted)
    for member_ix, member in enumerate(landed.members):
        if is_table(landed, member) or not fast:
            for table in records_of_member(landed, load_ix, member_ix):
                yield Piece(None, table, table.nbytes)
            continue
        for block in text_blocks(landed.folder / member):
            yield _shredded(landed, block, load_ix, member_ix, plan)


def _shredded(landed: Landed, block: Block, load_ix: int, member_ix: int, plan: Plan) -> Piece:
    assert plan.wanted is not None
    found = shred.shred(block.data, block.starts, plan.wanted)
    numbers = np.arange(block.before + 1, block.before + len(found.odd) + 1, dtype=np.int64)
    taken = numbers[~found.odd]
    columns = {
        "load_ix": pa.array(np.full(len(taken), load_ix, np.int32)),
        "member_ix": pa.array(np.full(len(taken), member_ix, np.int32)),
        "line": pa.array(taken),
        "text": found.lines,
        "fallback_time": pa.repeat(pa.scalar(landed.time.astimezone(UTC), _TIME), len(taken)),
    }
    rest = texts(
        ((int(numbers[n]), block.text(int(n))) for n in np.flatnonzero(found.odd) if not block.is_blank(int(n))), load_ix, member_ix
    )
    return Piece(shredded_table(plan, found, columns) if len(taken) else None, rest, len(block.data))


@dataclass(frozen=True)
class Digest:
    """How many records an attempt has, and the digest over their sorted hashes: the same records in another order or in
    other files are the same content."""

    lines: int
    digest: str


class Digests:
    """Collects the hashes of records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute("CREATE OR REPLACE TEMP TABLE hashes (load_ix INTEGER, h VARCHAR)")

    def add(self, records: pa.Table) -> None:
        """Records of `readers.SCHEMA` or of a plan for shredded lines."""
        self._connection.register("hashed", records.select(["load_ix", "text"]))
        self._connection.execute("INSERT INTO hashes SELECT load_ix, CAST(hash(text) AS VARCHAR) FROM hashed")
        self._connection.unregister("hashed")

    def of(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """The digests of attempts by their place; those without a record have one too."""
        self._connection.register("asked", pa.table({"load_ix": pa.array(list(chosen), pa.int32())}))
        found = rows(
            self._connection,
            """SELECT load_ix, count(h) AS lines, sha256(coalesce(string_agg(h, ',' ORDER BY h), '')) AS digest
            FROM asked LEFT JOIN hashes USING (load_ix) GROUP BY load_ix""",
        )
        self._connection.unregister("asked")
        return {row["load_ix"]: Digest(row["lines"], row["digest"]) for row in found}


class MappedRecords:
    """Maps the records that are added. `finish` gives the rows, once; the table `records` has the lines that no kernel took."""

    def __init__(self, workspace: Workspace, lake: Lake, mapping: Mapping, fields: StreamFields, times: Sequence[datetime]) -> None:
        self.careful, self.shredded = plan(mapping), plan(mapping, shredded=True)
        (self._connection, self._scratch), self._lake, self._mapping, self._fields = workspace, lake, mapping, fields
        # Maps that nothing is done to need not go through the database; what is hashed has to.
        kept = {} if hashing_of(mapping) else self.shredded.as_read
        self._as_read = {name: column for name, column in kept.items() if name not in fields.by}
        self._taken: list[Piece] = []
        self._rest: list[pa.Table] = []
        self._mapped: list[pa.Table] = []
        # In a table of the database, not in Arrow: what does not fit into its memory limit is spilled to disk.
        self._connection.execute("CREATE OR REPLACE TEMP TABLE records (load_ix INTEGER, member_ix INTEGER, line BIGINT, text VARCHAR)")
        loads = {
            "load_ix": pa.array(range(len(times)), pa.int32()),
            "fallback_time": pa.array([time.astimezone(UTC) for time in times], _TIME),
        }
        self._connection.register("loads", pa.table(loads))
        self._digests = Digests(self._connection)

    def add(self, piece: Piece) -> None:
        if piece.taken is not None:
            self._taken.append(piece)
        if piece.rest.num_rows:
            self._rest.append(piece.rest)
        if sum(one.size for one in self._taken) >= MAPPED_BYTES:
            self._map_taken()
        if sum(one.nbytes for one in self._rest) >= _REST_BYTES:
            self._keep_rest()

    def digests(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """What `Digests.of` gives for all that was added."""
        self._put_in()
        return self._digests.of(chosen)

    def finish(self) -> tuple[pa.Table, str]:
        """The rows of all records, in no order, and SQL that is true for the lines of `records` that are no records."""
        self._put_in()
        if self._mapped:
            # Lines that were left out are often no JSON at all, so each is looked at first.
            odd = self._map("records", self.careful, all_json=False) if self._has_odd() else None
            # Whoever asked has the rows alone now, and may let go of those that came twice.
            found, self._mapped = self._mapped, []
            first = found[0].schema
            return pa.concat_tables([*found, *([odd.select(first.names).cast(first)] if odd is not None else [])]), NOT_OBJECT
        try:
            # Most files are whole, so a look at each line beforehand, as long as the reading itself, is mostly wasted.
            return self._map("records", self.careful, all_json=True), JSON_BUT_NOT_OBJECT
        except InvalidInput:
            return self._map("records", self.careful, all_json=False), NOT_OBJECT

    def _has_odd(self) -> bool:
        return bool(rows(self._connection, f"SELECT 1 FROM records WHERE {IS_OBJECT} LIMIT 1"))

    def _put_in(self) -> None:
        self._map_taken()
        self._keep_rest()

    def _keep_rest(self) -> None:
        if self._rest:
            rest = pa.concat_tables(self._rest)
            self._digests.add(rest)
            self._connection.register("rest", rest)
            self._connection.execute("INSERT INTO records SELECT * FROM rest")
            self._connection.unregister("rest")
            self._rest = []

    def _map_taken(self) -> None:
        if self._taken:
            taken = pa.concat_tables([piece.taken for piece in self._taken])
            self._digests.add(taken)
            self._connection.register("taken", taken)
            found = self._map("taken", self.shredded, all_json=True, without=list(self._as_read))
            found = with_maps(found, taken, self._as_read)
            self._mapped.append(found if not self._mapped else found.select(self._mapped[0].schema.names))
            self._connection.unregister("taken")
            self._taken = []
        # The first may be in a file already.
        if sum(one.nbytes for one in self._mapped[1:]) > _ROWS_BYTES:
            self._mapped = [self._on_disk(pa.concat_tables(self._mapped))]

    def _on_disk(self, rows_: pa.Table) -> pa.Table:
        """The same rows in a file of the scratch folder, read as memory that the system may drop."""
        path = str(self._scratch / f"{new_token()}.arrow")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, rows_.schema) as writer:
            writer.write_table(rows_)
        found = pa.ipc.open_file(pa.memory_map(path)).read_all()
        Path(path).unlink()
        return found

    def _map(self, records: str, how: Plan, *, all_json: bool, without: Sequence[str] = ()) -> pa.Table:
        mapped = how.query(records, all_json=all_json, with_misfits=True)
        hashed = f"({hashed_query(self._connection, mapped, self._mapping)})"
        found = without_suppressed(self._connection, self._lake, identified_query(hashed, self._fields), self._fields.by)
        if without:
            found = f"SELECT * EXCLUDE ({', '.join(map(identifier, without))}) FROM ({found})"
        # So that the rows of one load mostly stay together.
        with in_order(self._connection):
            return arrow(self._connection, found)


def with_maps(mapped: pa.Table, records: pa.Table, as_read: Mapping_[str, str]) -> pa.Table:
    """Mapped records with the maps that they have as they were read (`Plan.as_read`)."""
    places = _places(mapped, records)
    as_they_came = len(places) == len(records) and bool((places == np.arange(len(places))).all())
    for name, column in as_read.items():
        maps = whole(records[column]).cast(_MAP)
        mapped = mapped.append_column(name, maps if as_they_came else maps.take(pa.array(places)))
    return mapped


def _places(mapped: pa.Table, records: pa.Table) -> Ints:
    """Where the mapped records stand among all, which are in the order of loads, members and lines. Some may be left out,
    and threads bring them out of their order."""
    lines = int(max(records["line"].to_numpy().max(), 1)) + 1
    members = int(records["member_ix"].to_numpy().max()) + 1
    codes = (
        (table["load_ix"].to_numpy().astype(np.int64) * members + table["member_ix"].to_numpy()) * lines + table["line"].to_numpy()
        for table in (records, mapped)
    )
    found: Ints = np.searchsorted(*codes)
    return found
