"""The members of an attempt as records, whatever their format."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from etl.landing.manifest import Landed
from etl.landing.readers import BLOCK_BYTES, blocks, inflate, lines, texts
from etl.landing.snapshot import MEMBERS, STREAM, snapshot_of, snapshot_texts


def records_of(landed: Landed, load_ix: int) -> Iterator[pa.Table]:
    """The records in tables of some megabytes, members in their order; see `readers.SCHEMA`.

    Raises DamagedDownload for a damaged member.
    """
    for member_ix in range(len(landed.members)):
        yield from records_of_member(landed, load_ix, member_ix)


def records_of_member(landed: Landed, load_ix: int, member_ix: int, size: int = BLOCK_BYTES) -> Iterator[pa.Table]:
    """The same of one member, in blocks of about `size` bytes where it has lines."""
    member = landed.members[member_ix]
    path = landed.folder / member
    if is_table(landed, member):
        yield texts(snapshot_texts(inflate(path), snapshot_of(landed).extra()), load_ix, member_ix)
        return
    before = 0
    for block in map(bytes, blocks(path, size)):
        yield lines(block, load_ix, member_ix, before)
        before += block.count(b"\n")


def is_table(landed: Landed, member: str) -> bool:
    """Whether a member is a table of a cohort's members; all others are JSON lines."""
    return landed.load.stream == STREAM and member == MEMBERS
