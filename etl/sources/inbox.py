"""The inbox of a source: a folder of JSON-lines files, each forwarded once by each job.

::

    inbox/customerio/                                          one folder for each source
        20261125T102003.123456Z-3f9a1c2e.jsonl                 finished: it never changes again
        .20261125T102101.004711Z-91b20c55.jsonl.open           being written; readers pass it by
        receipts/<job>/<file>.json                             the job is done with that file
        torn/<file>                                            what a killed writer left of its last line

Any program may put files here that end in `.jsonl` or `.jsonl.gz`: it writes under a name that starts with a dot and
renames when the file is whole. Files are read in the order of their names. A file that every job has a receipt for may be
removed, with its receipts.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from etl.durable import sync_path, write_durably
from etl.errors import ConfigurationError, DataError

SUFFIXES = (".jsonl", ".jsonl.gz")
OPEN_SUFFIX = ".open"
RECEIPTS, TORN = "receipts", "torn"

_BLOCK = 1024 * 1024


def finished_files(folder: Path) -> list[Path]:
    """The files of an inbox that are whole, in the order of their names. Raises ConfigurationError where there is no folder."""
    if not folder.is_dir():
        raise ConfigurationError(
            "there is no such inbox", value=str(folder), next_step="name the folder that the receiver writes to, or make it"
        )
    found = (path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith((".", "_")))
    return sorted((path for path in found if path.is_file()), key=lambda path: path.name)


def pending_files(folder: Path, job: str) -> list[Path]:
    """The finished files that `job` has no receipt for."""
    return [path for path in finished_files(folder) if not receipt_path(path, job).is_file()]


def load_id(source: str, file: Path) -> str:
    """The id of the load that a file is: made from its content, so that a copy under another name is the same load."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return f"{source}/{digest.hexdigest()[:16]}"


def receipt_path(file: Path, job: str) -> Path:
    """Where the receipt of `job` for a file stands. What a job notes before it is done belongs beside it, under another name."""
    return file.parent / RECEIPTS / job / f"{file.name}.json"


def read_receipt(file: Path, job: str) -> dict[str, Any] | None:
    """What `job` wrote when it was done with a file; None while it is not."""
    try:
        found: dict[str, Any] = json.loads(receipt_path(file, job).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def write_receipt(file: Path, job: str, content: Mapping[str, Any]) -> Path:
    """Says that `job` is done with a file, durably and at once: from here on the file is not pending for it."""
    path = receipt_path(file, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    write_durably(beside, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")
    beside.replace(path)
    sync_path(path.parent)
    return path


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, each with its number from 1 and without its line feed.

    Raises DataError where a gzip file is damaged, after the lines before the damage.
    """
    try:
        with gzip.open(file, "rb") if file.name.endswith(".gz") else file.open("rb") as content:
            for number, line in enumerate(content, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
                if text:
                    yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError("a file of the inbox is damaged", where={"file": file.name}, value=str(error)) from error


def file_name(started: datetime, token: str) -> str:
    """The name of a file begun at `started` (UTC): names sort by time, and `token` keeps two of one microsecond apart."""
    return f"{started:%Y%m%dT%H%M%S.%fZ}-{token}.jsonl"


def open_name(name: str) -> str:
    """The name that a file has while it is written."""
    return f".{name}{OPEN_SUFFIX}"


def open_files(folder: Path) -> list[Path]:
    """The files that are being written, or were when their writer died."""
    return sorted(folder.glob(f".*{OPEN_SUFFIX}"))


def finished_path(open_file: Path) -> Path:
    """Where a file stands once it is finished."""
    return open_file.with_name(open_file.name.removeprefix(".").removesuffix(OPEN_SUFFIX))
