"""Appends lines to an inbox so that they outlive the process: written, synced, and only then said to be stored."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from etl.durable import sync_path, write_durably
from etl.settings import Clock
from etl.sources.inbox import TORN, file_name, finished_path, open_files, open_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rotation:
    """When a file is finished and the next one begun: at so many bytes, or so long after its first line."""

    most_bytes: int = 16 * 1024 * 1024
    longest: timedelta = timedelta(seconds=60)


@dataclass
class _Open:
    path: Path
    descriptor: int
    started: datetime
    durable: int = 0  # bytes known to be on disk: what was said to be stored


class InboxWriter:
    """The one writer of an inbox folder. Not for several threads at once.

    Making one finishes what an earlier writer left: `repair`.
    """

    def __init__(self, folder: Path, rotation: Rotation | None = None, clock: Clock | None = None) -> None:
        self.folder = folder
        self._rotation, self._clock = rotation or Rotation(), clock or Clock()
        self._file: _Open | None = None
        self._unrepaired = False
        folder.mkdir(parents=True, exist_ok=True)
        sync_path(folder.parent)
        repair(folder)

    def append(self, lines: Sequence[bytes]) -> None:
        """Stores lines (without line feeds); they are on disk when this returns.

        Raises OSError when the disk does not take them. Then none of them is promised, though some may be there.
        """
        file = self._file or self._begin()
        try:
            _write_all(file.descriptor, b"".join(line + b"\n" for line in lines))
            os.fsync(file.descriptor)
        except OSError:
            # What the system holds of this file is not to be trusted any more; the next lines go to another one.
            self._abandon(file)
            raise
        file.durable = os.fstat(file.descriptor).st_size
        if file.durable >= self._rotation.most_bytes:
            self._rotate_or_log()

    def tick(self) -> None:
        """Finishes the file when it is old enough, and whatever could not be repaired before. To be called now and then."""
        if self._file is not None and self._clock.now() - self._file.started >= self._rotation.longest:
            self._rotate_or_log()
        if self._unrepaired:
            with contextlib.suppress(OSError):
                repair(self.folder, leave=self._file.path if self._file else None)
                self._unrepaired = False

    def close(self) -> None:
        """Finishes the file. Raises OSError where that fails: its lines are safe, and the next writer finishes it."""
        if self._file is not None:
            self._rotate(self._file)

    def _begin(self) -> _Open:
        started = self._clock.now()
        path = self.folder / open_name(file_name(started, secrets.token_hex(4)))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        try:
            sync_path(self.folder)
        except OSError:
            os.close(descriptor)
            self._unrepaired = True
            raise
        self._file = _Open(path, descriptor, started)
        return self._file

    def _rotate_or_log(self) -> None:
        assert self._file is not None
        try:
            self._rotate(self._file)
        except OSError as error:
            log.warning("cannot finish %s yet: %s", self._file.path.name if self._file else "the file", error.strerror)

    def _rotate(self, file: _Open) -> None:
        file.path.rename(finished_path(file.path))
        os.close(file.descriptor)
        self._file = None
        sync_path(self.folder)

    def _abandon(self, file: _Open) -> None:
        self._file, self._unrepaired = None, True
        with contextlib.suppress(OSError):
            os.ftruncate(file.descriptor, file.durable)
        with contextlib.suppress(OSError):
            os.close(file.descriptor)
        self.tick()


def repair(folder: Path, leave: Path | None = None) -> None:
    """Finishes the files that dead writers left open. Whole lines are kept; a torn last line is set aside in `torn`, so
    that no other line is ever glued to it. `leave` is the file of a living writer."""
    for path in open_files(folder):
        if path != leave:
            _repair(path)


def _repair(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if torn := content[whole:]:
        aside = path.parent / TORN / finished_path(path).name
        aside.parent.mkdir(exist_ok=True)
        write_durably(aside, torn)
        sync_path(aside.parent)
        log.warning("set aside %d bytes of a line that was never acknowledged: %s", len(torn), aside)
    with path.open("rb+") as file:
        file.truncate(whole)
        # A killed process can have left lines that the system had not written yet.
        os.fsync(file.fileno())
    if whole:
        path.rename(finished_path(path))
    else:
        path.unlink()
    sync_path(path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
