"""Loads that a rebuild takes over as they are: their rows, fragments and rejects, without reading a raw file."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from etl.lake.attempts import attempt_of, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads, current_loads
from etl.lake.tables import NewFile, Table, commit, files_of
from etl.profiles.fields import remember, stream_fields


def keep_loads(lake: Lake, beside: Lake, mapped_anew: str | None, choose: Callable[[Load], bool]) -> list[Load]:
    """Takes the chosen loads that are in force in `lake` over into the lake `beside`; those that it did not have yet.

    The fields of their streams come along, of the stream `mapped_anew` only with loads of it (None: no fields come
    along). Files are linked, not copied: those of an attempt never change. A load that `beside` has from an earlier call is
    replaced where it was replaced in `lake` since. No load of `lake` is committed meanwhile, so what is taken over is whole.
    """
    with lake.writing():
        chosen = [load for load in current_loads(lake, forwarded=True).values() if choose(load)]
        known = current_loads(beside, forwarded=True)
        new = [load for load in chosen if load.load not in known or known[load.load].attempt != load.attempt]
        streams = sorted({load.stream for load in new})
        for stream, fields in stream_fields(lake).items():
            if mapped_anew is not None and (stream != mapped_anew or stream in streams):
                remember(beside, fields)
        if not new:
            return []
        attempts = {load.attempt for load in new}
        tables = [(lake.rejects, beside.rejects)]
        tables += [pair for stream in streams for pair in _tables(lake, beside, stream)]
        for source, target in tables:
            _link(source, target, attempts)
    # Not the fragments: the next build of the lake beside takes the replaced ones out again.
    replaced = [known[load.load].attempt for load in new if load.load in known]
    commit_loads(beside, new, lambda load, before: True)
    if replaced:
        for table in (beside.rejects, *(beside.stream(stream) for stream in streams)):
            remove_attempts(table, replaced)
    return new


def _tables(lake: Lake, beside: Lake, stream: str) -> Sequence[tuple[Table, Table]]:
    return [(lake.stream(stream), beside.stream(stream)), (lake.fragments(stream), beside.fragments(stream))]


def _link(source: Table, target: Table, attempts: set[str]) -> None:
    """Commits the files of attempts to another table, as links where the file system has them."""
    opened = source.open()
    files = [file for file in files_of(source) if attempt_of(file) in attempts]
    if opened is None or not files:
        return
    for file in files:
        _link_file(source.path / file.path, target.path / file.path)
    commit(target, pa.schema(opened.schema()), add=[NewFile(file.path, file.rows, file.partition) for file in files])


def _link_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
