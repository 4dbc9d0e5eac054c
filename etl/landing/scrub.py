"""Taking records out of landed files. What goes leaves a blank line, so that the numbers of the others stay."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from etl.landing.manifest import Landed
from etl.landing.readers import inflate, raw_lines
from etl.landing.snapshot import MEMBERS, STREAM


def without_lines(landed: Landed, gone: Mapping[str, Collection[int]]) -> Landed:
    """Rewrites members without the records on the given lines (by member, numbered as readers number them), and returns the
    attempt with its new size. Each file is replaced whole; gzip members stay gzip."""
    for member, lines in gone.items():
        if not lines:
            continue
        path = landed.folder / member
        part = path.with_name(f".{path.name}.part")
        copy_without(path, part, lines, table=landed.load.stream == STREAM and member == MEMBERS)
        part.replace(path)
    if not any(gone.values()):
        return landed
    return replace(landed, size=sum((landed.folder / member).stat().st_size for member in landed.members))


def copy_without(path: Path, target: Path, gone: Collection[int], *, table: bool = False) -> None:
    """Writes a file without the records on the given lines (of a CSV `table`: rows), durably. What is gzip stays gzip."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with target.open("wb") as raw:
        packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) if zipped else raw
        for number, line in _rows(inflate(path)) if table else enumerate(raw_lines(path), start=1):
            packed.write(b"\n" if number in gone else line)
        if zipped:
            packed.close()
        raw.flush()
        os.fsync(raw.fileno())


def _rows(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The rows of a CSV file as they are, some of several lines, numbered from 1 for the header."""
    lines = list(io.StringIO(data.decode("utf-8"), newline=""))
    reader = csv.reader(iter(lines), strict=True)
    done = 0
    for number, _ in enumerate(reader, start=1):
        yield number, "".join(lines[done : reader.line_num]).encode()
        done = reader.line_num
