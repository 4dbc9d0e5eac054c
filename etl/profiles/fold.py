"""Sizes what builds left beside the stored rows of `profiles` and `identifiers`: afterwards each key has one row."""

from __future__ import annotations

import contextlib

import pyarrow as pa

from etl.lake.layers import DEFAULT_SIZES, Sizes, is_folded
from etl.lake.layout import Lake
from etl.lake.tables import CommitConflict, commit, files_of
from etl.profiles.stored import IDENTIFIERS, PROFILES


def fold_profiles(lake: Lake, sizes: Sizes = DEFAULT_SIZES) -> int:
    """Folds both tables, each in one commit, and returns how many there was something to fold in. Whoever calls it holds
    `lake.building()`; where a builder of another machine is faster, the table stays as that one leaves it."""
    folded = 0
    for table, layers in ((lake.profiles, PROFILES), (lake.identifiers, IDENTIFIERS)):
        opened = table.open()
        files = files_of(table, opened) if opened is not None else []
        if opened is None or is_folded(files):
            continue
        with lake.workspace() as (connection, _):
            added = layers.fold(connection, table, files, sizes)
        with contextlib.suppress(CommitConflict):
            removed = [file.path for file in files]
            commit(table, pa.schema(opened.schema()), add=added, remove=removed, expected_version=opened.version())
            folded += 1
    return folded
