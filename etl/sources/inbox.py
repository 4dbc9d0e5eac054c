"""The inbox of a source: JSON-lines files, each forwarded once by each job. This is the one in a folder; `bucket` has the other.

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
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from etl.durable import sync_path, write_durably
from etl.errors import ConfigurationError, DataError, NotFound

SUFFIXES = (".jsonl", ".jsonl.gz")
OPEN_SUFFIX = ".open"
RECEIPTS, TORN = "receipts", "torn"

_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class InboxFile:
    """A file that is whole. `version` is another one once its content is (empty where the place keeps none)."""

    name: str
    size: int
    version: str = ""


class Inbox(Protocol):
    """Where the files of a source are. `place` is how people call it; receipts of jobs stand in the folder `receipts`, named by
    `stem` of their file."""

    @property
    def place(self) -> str: ...

    @property
    def receipts(self) -> Path: ...

    def stem(self, name: str) -> str: ...

    def files(self) -> list[InboxFile]:
        """The files that are whole, in the order of their names."""

    def fetch(self, file: InboxFile, folder: Path) -> Path:
        """The file on this machine: where it is, or a copy in `folder`. Raises NotFound where it is not there any more."""

    def replace(self, file: InboxFile, content: Path) -> InboxFile:
        """Puts other content under the name of a file, in one step."""


@dataclass(frozen=True)
class FolderInbox:
    """An inbox in a folder, which holds the receipts too."""

    folder: Path

    @property
    def place(self) -> str:
        return str(self.folder)

    @property
    def receipts(self) -> Path:
        return self.folder / RECEIPTS

    def stem(self, name: str) -> str:
        return name

    def files(self) -> list[InboxFile]:
        return [InboxFile(path.name, path.stat().st_size) for path in finished_files(self.folder)]

    def fetch(self, file: InboxFile, folder: Path) -> Path:
        path = self.folder / file.name
        if not path.is_file():
            raise NotFound("a file of the inbox is gone", where={"file": file.name})
        return path

    def replace(self, file: InboxFile, content: Path) -> InboxFile:
        path = self.folder / file.name
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        shutil.copyfile(content, beside)
        sync_path(beside)
        size = beside.stat().st_size
        beside.replace(path)
        sync_path(self.folder)
        return InboxFile(file.name, size)


@dataclass(frozen=True)
class Look:
    """The files of an inbox as a job sees them: those it has no receipt for, and those that were written anew since it sent them."""

    pending: list[InboxFile]
    changed: list[InboxFile]


def look(inbox: Inbox, job: str) -> Look:
    """Which files `job` has to send. A file is done by its name: what is put under that name later is never read."""
    found = Look([], [])
    for file in inbox.files():
        receipt = read_receipt(inbox, file.name, job)
        if receipt is None:
            found.pending.append(file)
        elif "size" in receipt and (receipt["size"], receipt["version"]) != (file.size, file.version):
            found.changed.append(file)
    return found


def finished_files(folder: Path) -> list[Path]:
    """The files of a folder that are whole, in the order of their names. Raises ConfigurationError where there is no folder."""
    if not folder.is_dir():
        raise ConfigurationError(
            "there is no such inbox", value=str(folder), next_step="name the folder that the receiver writes to, or make it"
        )
    return sorted((path for path in folder.iterdir() if is_finished(path.name) and path.is_file()), key=lambda path: path.name)


def is_finished(name: str) -> bool:
    """Whether a file of this name is whole and meant to be read."""
    return name.endswith(SUFFIXES) and not name.startswith((".", "_"))


def digest_of(file: Path) -> str:
    """What the load of a file is called: made from its content, so that a copy under another name is the same load."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()[:16]


def receipt_path(inbox: Inbox, name: str, job: str) -> Path:
    """Where the receipt of `job` for a file stands. What a job notes before it is done belongs beside it, under another name."""
    return inbox.receipts / job / f"{inbox.stem(name)}.json"


def read_receipt(inbox: Inbox, name: str, job: str) -> dict[str, Any] | None:
    """What `job` wrote when it was done with a file; None while it is not."""
    return read_note(receipt_path(inbox, name, job))


def write_receipt(inbox: Inbox, file: InboxFile, job: str, content: Mapping[str, Any]) -> Path:
    """Says that `job` is done with a file, durably and at once: from here on the file is not pending for it."""
    path = receipt_path(inbox, file.name, job)
    write_note(path, {**content, "size": file.size, "version": file.version})
    return path


def read_note(path: Path) -> dict[str, Any] | None:
    """What `write_note` wrote; None where it has not."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def write_note(path: Path, content: Mapping[str, Any]) -> None:
    """A small JSON file, replaced as a whole, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    write_durably(beside, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")
    beside.replace(path)
    sync_path(path.parent)


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
        raise DataError(
            "a file of the inbox is damaged",
            where={"file": file.name},
            value=str(error),
            next_step="put a whole one in its place (what was sent of it is not sent again), or remove it",
        ) from error


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
