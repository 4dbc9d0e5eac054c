"""The members of an attempt as records, whatever their format."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from etl.landing.manifest import Landed
from etl.landing.readers import inflate, lines, texts
from etl.landing.snapshot import MEMBERS, STREAM, snapshot_of, snapshot_texts


def records_of(landed: Landed, load_ix: int) -> Iterator[pa.Table]:
    """One table per member, in their order; see `readers.SCHEMA`. Raises DamagedDownload for a damaged member."""
    for member_ix, member in enumerate(landed.members):
        data = inflate(landed.folder / member)
        if landed.load.stream == STREAM and member == MEMBERS:
            yield texts(snapshot_texts(data, snapshot_of(landed).extra()), load_ix, member_ix)
        else:
            yield lines(data, load_ix, member_ix)
