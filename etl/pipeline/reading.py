"""Landed attempts to records for the mapping, block by block: lines that the kernel took as columns, all others as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pyarrow as pa

from etl.engines import shred
from etl.engines.local import Connection, arrow
from etl.engines.sorting import Ints, sorted_by, starts_of
from etl.landing.manifest import Landed
from etl.landing.members import is_table, records_of_member
from etl.landing.readers import BLOCK_BYTES, Block, text_blocks, texts
from etl.mapping.plan import Plan, shredded_table

_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Piece:
    """Some records of a member, `size` bytes of text. `taken`: for the plan of shredded lines, if any; `rest`: the others, as
    `readers.SCHEMA` has them."""

    taken: pa.Table | None
    rest: pa.Table
    size: int


def pieces_of(
    landed: Landed, load_ix: int, plan: Plan, most_bytes: int = BLOCK_BYTES, working: shred.Room | None = None
) -> Iterator[Piece]:
    """The records of an attempt, members in their order, at most about so much text at a time; the kernel works in `working`.

    Raises DamagedDownload for a damaged member.
    """
    size = min(most_bytes, BLOCK_BYTES)
    fast = plan.wanted is not None and shred.takes(plan.wanted)
    working = working or shred.Room()
    for member_ix, member in enumerate(landed.members):
        if is_table(landed, member) or not fast:
            for table in records_of_member(landed, load_ix, member_ix, size):
                yield from _sliced(table, size)
            continue
        for block in text_blocks(landed.folder / member, size, starts_of=shred.line_starts):
            yield _shredded(landed, block, load_ix, member_ix, plan, working)


def _sliced(records: pa.Table, most_bytes: int) -> Iterator[Piece]:
    """Records as pieces of about so many bytes: a table of a cohort's members comes as one."""
    rows = max(1, len(records) * most_bytes // max(records.nbytes, 1))
    for start in range(0, len(records), rows):
        some = records.slice(start, rows)
        yield Piece(None, some, some.nbytes)


def _shredded(landed: Landed, block: Block, load_ix: int, member_ix: int, plan: Plan, working: shred.Room) -> Piece:
    assert plan.wanted is not None
    found = shred.shred(block.data, block.starts, plan.wanted, working)
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
        self._loads: list[Ints] = []
        self._hashes: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = []

    def add(self, records: pa.Table) -> None:
        """Records of `readers.SCHEMA` or of a plan for shredded lines."""
        self._connection.register("hashed", records.select(["load_ix", "text"]))
        found = arrow(self._connection, "SELECT load_ix, hash(text) AS h FROM hashed")
        self._connection.unregister("hashed")
        self._loads.append(found["load_ix"].to_numpy().astype(np.int64))
        self._hashes.append(found["h"].to_numpy())

    def of(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """The digests of attempts by their place; those without a record have one too."""
        found = dict.fromkeys(chosen, Digest(0, hashlib.sha256().hexdigest()))
        if self._loads:
            loads, hashes = np.concatenate(self._loads), np.concatenate(self._hashes)
            order = sorted_by(loads)
            loads, hashes = loads[order], hashes[order]
            starts = starts_of(loads)
            for ix, of_load in zip(loads[starts].tolist(), np.split(hashes, starts[1:]), strict=False):
                content = np.sort(of_load).astype("<u8").tobytes()
                found[ix] = Digest(len(of_load), hashlib.sha256(content).hexdigest())
        return found
