"""Landed attempts to records for the mapping, block by block: lines that the kernel took as columns, all others as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh64_intdigest

from etl.engines import shred
from etl.landing.manifest import Landed
from etl.landing.members import is_table, records_of_member
from etl.landing.readers import BLOCK_BYTES, Block, text_blocks, texts
from etl.mapping.plan import Plan, shredded_table

_TIME = pa.timestamp("us", tz="UTC")
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Piece:
    """Some records of a member of the load `load_ix`, `size` bytes of text. `taken`: for the plan of shredded lines, if any; `rest`:
    the others, as `readers.SCHEMA` has them. `hashes` are those of all of them, in no order."""

    load_ix: int
    taken: pa.Table | None
    rest: pa.Table
    size: int
    hashes: Hashes


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
                yield from _sliced(table, load_ix, size)
            continue
        # What is made of a block does not need it, unless it is the texts themselves.
        room = {} if plan.reads_text else {"room": working.block}
        for block in text_blocks(landed.folder / member, size, partial(shred.line_starts, working=working), **room):
            yield _shredded(landed, block, load_ix, member_ix, plan, working)


def _sliced(records: pa.Table, load_ix: int, most_bytes: int) -> Iterator[Piece]:
    """Records as pieces of about so many bytes: a table of a cohort's members comes as one."""
    rows = max(1, len(records) * most_bytes // max(records.nbytes, 1))
    for start in range(0, len(records), rows):
        some = records.slice(start, rows)
        yield Piece(load_ix, None, some, some.nbytes, hashes_of(some))


def _shredded(landed: Landed, block: Block, load_ix: int, member_ix: int, plan: Plan, working: shred.Room) -> Piece:
    assert plan.wanted is not None
    found = shred.shred(block.data, block.starts, plan.wanted, working)
    numbers = np.arange(block.before + 1, block.before + len(found.odd) + 1, dtype=np.int64)
    taken = numbers[~found.odd]
    columns = {
        "load_ix": pa.array(np.full(len(taken), load_ix, np.int32)),
        "member_ix": pa.array(np.full(len(taken), member_ix, np.int32)),
        "line": pa.array(taken),
        "fallback_time": pa.repeat(pa.scalar(landed.time.astimezone(UTC), _TIME), len(taken)),
    } | ({"text": found.lines} if plan.reads_text else {})
    rest = texts(
        ((int(numbers[n]), block.text(int(n))) for n in np.flatnonzero(found.odd) if not block.is_blank(int(n))), load_ix, member_ix
    )
    hashes = np.concatenate([found.hashes, hashes_of(rest)])
    return Piece(load_ix, shredded_table(plan, found, columns) if len(taken) else None, rest, len(block.data), hashes)


def hashes_of(records: pa.Table) -> Hashes:
    """The hashes of records of `readers.SCHEMA`."""
    found: list[int] = []
    for chunk in records["text"].chunks:
        _, offsets, data = chunk.buffers()
        if not len(chunk):
            continue
        ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        texts_ = memoryview(data)
        found += [xxh64_intdigest(texts_[start:end]) for start, end in pairwise(ends)]
    return np.array(found, np.uint64)


@dataclass(frozen=True)
class Digest:
    """How many records an attempt has, and the digest over their sorted hashes: the same records in another order or in
    other files are the same content."""

    lines: int
    digest: str


class Digests:
    """Collects the hashes of records, by the place of their attempt."""

    def __init__(self) -> None:
        self._hashes: dict[int, list[Hashes]] = {}

    def add(self, load_ix: int, hashes: Hashes) -> None:
        self._hashes.setdefault(load_ix, []).append(hashes)

    def of(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """The digests of attempts; those without a record have one too."""
        none = np.zeros(0, np.uint64)
        found = {ix: np.sort(np.concatenate([none, *self._hashes.get(ix, [])])) for ix in chosen}
        return {ix: Digest(len(hashes), hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()) for ix, hashes in found.items()}
