"""Raw files to lines of JSON text, as Arrow columns: UTF-8, split on `\\n` only, BOM and blank lines tolerated."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import DamagedDownload
from etl.gunzip import DAMAGED, gunzip

SCHEMA = pa.schema([("load_ix", pa.int32()), ("member_ix", pa.int32()), ("line", pa.int64()), ("text", pa.large_string())])

# What is in memory of a member at once.
BLOCK_BYTES = 24 * 1024 * 1024
_SMALLEST, _TIGHTEST = 64 * 1024, 24
# A gzip reader makes as many bytes of its own and copies them: few enough that they are the same ones every time.
_AT_ONCE = 128 * 1024
Starts = np.ndarray[Any, np.dtype[np.int64]]
_LINE_FEED = 10
_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.", re.DOTALL)
_HALF = 6  # what an escape of half a pair is long


def inflate(path: Path) -> bytes:
    """The bytes of a file, gunzipped when it is gzip (several gzip parts in a row count as one file).

    Raises DamagedDownload, with the member's name, when the gzip is cut short or its check sum is wrong.
    """
    with _opened(path) as file:
        return file.read()


def _room(size: int) -> memoryview:
    """So many bytes of anything; untouched pages take no memory, and touched ones come in large pieces."""
    return np.empty(size, np.uint8).data


def blocks(path: Path, size: int = BLOCK_BYTES, room: Callable[[int], memoryview] = _room) -> Iterator[memoryview]:
    """The bytes of a file, gunzipped, in blocks of whole lines, about `size` bytes each; only the last may end without a line feed.

    `room` gives at least so many bytes to write into. Where those are the same every time, a block is there until the next one
    is asked for.

    Raises DamagedDownload as `inflate` does, after the blocks before the damage.
    """
    with _opened(path) as file:
        # A small file needs no large buffer; hardly one is packed tighter than this.
        size = max(1, min(size, _SMALLEST + _TIGHTEST * path.stat().st_size))
        block, used, more = room(size), 0, True
        while more:
            if len(block) < used + size:
                # Twice as much, or a long line is copied again and again.
                block = _moved(block[:used], room(max(used + size, 2 * used)))
            filled = _filled(file, block[: used + size], used)
            more = filled == used + size
            cut = _end_of_lines(block, used, filled) if more else filled
            if cut:
                yield block[:cut]
                block = _moved(block[cut:filled], room(filled - cut + size))
            used = filled - cut


def _filled(file: BufferedIOBase, block: memoryview, used: int) -> int:
    """Reads into a block behind what is used of it; how much then is, less than all of it at the end of the file alone."""
    while used < len(block) and (read := file.readinto(block[used : used + _AT_ONCE])):
        used += read
    return used


def _moved(some: memoryview, block: memoryview) -> memoryview:
    """A block that begins with some bytes of another one."""
    block[: len(some)] = some
    return block


def _end_of_lines(block: memoryview, start: int, end: int) -> int:
    """The place behind the last line feed between two places; 0 where there is none."""
    while end > start:
        first = max(start, end - _SMALLEST)
        if found := bytes(block[first:end]).rfind(b"\n") + 1:
            return first + found
        end = first
    return 0


@dataclass(frozen=True)
class Block:
    """Whole lines of a file, valid UTF-8: line n is `data[starts[n]:starts[n + 1]]`, its line feed included, and has the
    number `before + n + 1`. Of lines that are no UTF-8 there are blanks in `data`, and the bytes in `broken`."""

    data: memoryview
    starts: Starts
    before: int
    broken: Mapping[int, bytes]

    def text(self, n: int) -> str:
        """The line as text; bytes that are not UTF-8 are replaced, and such a line starts with U+FFFD."""
        return _decoded(self._bytes(n))

    def is_blank(self, n: int) -> bool:
        return n not in self.broken and not self._bytes(n).strip(_BLANKS)

    def _bytes(self, n: int) -> bytes:
        return self.broken.get(n) or bytes(self.data[self.starts[n] : self.starts[n + 1]])


def text_blocks(
    path: Path,
    size: int = BLOCK_BYTES,
    starts_of: Callable[[memoryview], Starts] | None = None,
    room: Callable[[int], memoryview] = _room,
) -> Iterator[Block]:
    """The lines of a file, gunzipped, in blocks of about `size` bytes, without a BOM. Raises DamagedDownload as `blocks` does,
    which `room` is for. `starts_of` finds where lines start, as `line_starts` does, for who has a faster way."""
    before = 0
    for data in blocks(path, size, room):
        block = data[len(_BOM) :] if before == 0 and data[: len(_BOM)] == _BOM else data
        if not block:
            continue
        if block[-1] != _LINE_FEED:
            block = memoryview(bytearray(block) + b"\n")
        starts = (starts_of or line_starts)(block)
        broken: dict[int, bytes] = {}
        if not _is_text(_texts(np.array([0, len(block)], np.int64), block)):
            broken = {n: bytes(block[starts[n] : starts[n + 1]]) for n in _broken(_texts(starts, block))}
            for n, part in broken.items():
                block[starts[n] : starts[n + 1]] = b" " * (len(part) - 1) + b"\n"
        yield Block(block, starts, before, broken)
        before += len(starts) - 1


def _texts(starts: Starts, block: memoryview) -> pa.LargeStringArray:
    return pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(block))


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, gunzipped, each with its line feed."""
    with _opened(path) as file:
        yield from file


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield gunzip(raw) if zipped else raw
    except DAMAGED as error:
        raise DamagedDownload(
            "a gzip member is damaged",
            where={"member": path.name},
            value=str(error),
            next_step="run again: it is downloaded again",
        ) from error


def lines(data: bytes, load_ix: int, member_ix: int, before: int = 0) -> pa.Table:
    """One row per line that is not blank, with its number in the file (from 1, `before` lines having come before).
    Bytes that are not UTF-8 are replaced, and such a line then is no valid JSON text: it starts with U+FFFD."""
    if before == 0 and data.startswith(_BOM):
        data = data[len(_BOM) :]
    if not data:
        return SCHEMA.empty_table()
    if not data.endswith(b"\n"):
        data += b"\n"
    buffer = np.frombuffer(data, dtype=np.uint8)
    offsets = line_starts(data)
    count = len(offsets) - 1
    text = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
    numbers = np.arange(before + 1, before + count + 1, dtype=np.int64)
    shortest = np.diff(offsets) <= 4  # only short lines can be blank in the usual file; the rest is checked below
    blank = np.zeros(count, dtype=bool)
    for position in np.flatnonzero(shortest | (buffer[offsets[:-1]] <= 32)):
        blank[position] = not data[offsets[position] : offsets[position + 1]].strip(_BLANKS)
    if not _is_text(text):
        text = pa.array([_decoded(data[offsets[n] : offsets[n + 1]]) for n in range(count)], pa.large_string())
    if _SURROGATE.search(data):
        some = pc.match_substring_regex(text, _SURROGATE.pattern.decode())
        text = pc.replace_with_mask(text, some, pa.array(map(_paired, text.filter(some).to_pylist()), pa.large_string()))
    table = pa.table(
        {
            "load_ix": pa.array(np.full(count, load_ix, dtype=np.int32)),
            "member_ix": pa.array(np.full(count, member_ix, dtype=np.int32)),
            "line": pa.array(numbers),
            "text": text,
        },
        schema=SCHEMA,
    )
    return table.filter(pa.array(~blank)) if blank.any() else table


def texts(records: Iterable[tuple[int, str]], load_ix: int, member_ix: int) -> pa.Table:
    """The same table from `(line, JSON text)` pairs, for members that are no JSON lines."""
    numbers, values = [], []
    for number, value in records:
        numbers.append(number)
        values.append(_paired(value))
    count = len(values)
    columns = [
        np.full(count, load_ix, dtype=np.int32),
        np.full(count, member_ix, dtype=np.int32),
        np.array(numbers, dtype=np.int64),
    ]
    return pa.table([*(pa.array(column) for column in columns), pa.array(values, pa.large_string())], schema=SCHEMA)


def line_starts(data: bytes | memoryview) -> Starts:
    """Where each line starts, and where the last one ends; `data` ends with a line feed."""
    return np.concatenate(([0], np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _LINE_FEED) + 1)).astype(np.int64)


def _broken(lines_: pa.LargeStringArray, before: int = 0) -> Iterator[int]:
    """The numbers of the lines that are not UTF-8: few, so most halves are whole."""
    if _is_text(lines_):
        return
    if len(lines_) == 1:
        yield before
        return
    half = len(lines_) // 2
    yield from _broken(lines_.slice(0, half), before)
    yield from _broken(lines_.slice(half), before + half)


def _is_text(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _paired(text: str) -> str:
    """JSON text in which escapes of half a surrogate pair are those of U+FFFD: a vendor that cuts texts in the middle of an emoji
    writes one, and UTF-8 has none."""
    if r"\u" not in text:
        return text
    return _ESCAPE.sub(lambda found: r"\ufffd" if len(found[0]) == _HALF else found[0], text)


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd" + line.decode("utf-8", errors="replace")
