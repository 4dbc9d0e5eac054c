"""From an answer to a file: written beside its target, checked, then renamed; and the checks of export archives."""

from __future__ import annotations

import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.clients.http import gunzipped
from etl.clients.redact import clean
from etl.errors import DamagedDownload
from etl.gunzip import DAMAGED, gunzip

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_MOST_LAYERS = 3
_CHUNK = 1 << 20


@dataclass(frozen=True)
class DownloadedFile:
    """A complete file at `path`, of `bytes` bytes after decoding."""

    path: Path
    bytes: int


def save(chunks: Iterator[bytes], target: Path, check: Callable[[Path], None]) -> DownloadedFile:
    """Writes the chunks beside `target`, lets `check` look at the file, then puts it in `target`'s place at once.

    Whatever fails, and wherever, `target` is untouched and nothing is left beside it. The folder is made if need be.
    Only a process that is killed leaves a file behind, `.<name>.<random>.part`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with aside.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        check(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return DownloadedFile(target, size)


def counted(chunks: Iterator[bytes], on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
    """The same chunks; `on_bytes` is told the number of bytes so far (from 0 again when an attempt begins)."""
    total = 0
    if on_bytes:
        on_bytes(total)
    for chunk in chunks:
        total += len(chunk)
        if on_bytes:
            on_bytes(total)
        yield chunk


def unpacked(chunks: Iterator[bytes], request: str, layers: int = _MOST_LAYERS) -> Iterator[bytes]:
    """The chunks without the gzip layers that they still begin with, at most three."""
    beginning, chunks = _beginning(chunks, len(_GZIP))
    if layers and beginning.startswith(_GZIP):
        return unpacked(gunzipped(chunks, request), request, layers - 1)
    return chunks


def table_only(chunks: Iterator[bytes], request: str) -> Iterator[bytes]:
    """The chunks, unless they begin like a page or an error message instead of a table."""
    beginning, chunks = _beginning(chunks, 64)
    if beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"<", b"{"):
        raise _not_asked_for("The answer is a page or a message, not a table", beginning, request)
    return chunks


def archive_only(chunks: Iterator[bytes], request: str) -> Iterator[bytes]:
    """The chunks, unless they do not begin like a zip archive."""
    beginning, chunks = _beginning(chunks, 64)
    if not beginning.startswith(_ZIP):
        raise _not_asked_for("The answer is not a zip archive", beginning, request)
    return chunks


def check_archive(path: Path, request: str) -> None:
    """Raises DamagedDownload if the archive's list of members, which stands at its end, cannot be read."""
    reason = None
    try:
        with zipfile.ZipFile(path) as archive:
            archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        reason = str(error)
    if reason is not None:
        place = {"request": request, "bytes": path.stat().st_size}
        raise DamagedDownload(
            "The archive is truncated or damaged", where=place, value=reason, next_step="run again: it is downloaded again"
        )


def damaged_members(path: Path) -> list[str]:
    """The `*.json.gz` members of an export that do not unpack to their end, as `name: reason`, in the archive's order.

    Every byte is read and both checksums, zip's and gzip's, are compared; memory use does not depend on the size.
    """
    damaged = []
    unpacked = bytearray(_CHUNK)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or not member.filename.endswith(".json.gz"):
                continue
            if member.file_size == 0:  # gzip of nothing has 20 bytes; this was cut off at its very beginning
                damaged.append(f"{member.filename}: it is empty")
                continue
            try:
                with archive.open(member) as packed, gunzip(packed) as lines:
                    while lines.readinto(unpacked):
                        pass
            except (zipfile.BadZipFile, OSError, zlib.error, ValueError, NotImplementedError, *DAMAGED) as error:
                damaged.append(f"{member.filename}: {error}")
    return damaged


def _beginning(chunks: Iterator[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """At least the first `length` bytes (fewer if there are no more), and an iterator over all of them."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= length:
            break

    def everything() -> Iterator[bytes]:
        if head:
            yield head
        yield from chunks

    return head, everything()


def _not_asked_for(what: str, beginning: bytes, request: str) -> DamagedDownload:
    text = clean(" ".join(beginning[:200].decode("utf-8", "replace").split()))
    return DamagedDownload(what, where={"request": request}, value=text)
