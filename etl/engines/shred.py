"""JSON lines to Arrow columns by the kernel in `shred.c`, for the lines about which nothing is open.

The kernel reads each byte once. Whoever calls it needs a slow way as well, for the lines it leaves out and for machines
where it could not be built.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from etl.engines.kernel import at, built, is_built

_LEAST_BYTES_OF_A_MEMBER = 6  # `"a":1,`
_VIEW = 16
_MOST_KEPT = 256 * 1024 * 1024  # bytes of one kind of views: a block with one very long line has room for many
_SIDE = 256  # views' worth of it beyond the size of the block
_MOST_TEXT = 2**30 - 2**16  # what ends in 32 bits, together with a block of as many
_IN_PLACE = 12  # bytes of a text that stand in a view itself
_MOST_NAMES = 1024  # SLOTS / 4 in shred.c


class Use(IntEnum):
    """What is wanted of a member: its text, its text where it is no list, or an object's flat members."""

    TEXT = 0
    TEXT_OF_NO_LIST = 1
    MEMBERS = 2


class Read(IntEnum):
    """How a value is read from a text. Lines with another text, but for the empty one, are odd."""

    DATE = 0  # `2022-11-21 15:42:30.394000`, the fraction shorter or missing
    INT = 1
    NUMBER = 2
    BOOL = 3

    @property
    def type(self) -> pa.DataType:
        return (pa.timestamp("us", tz="UTC"), pa.int64(), pa.float64(), pa.int64())[self]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the records: by name of the member what of it, and the values to read from texts."""

    uses: Mapping[str, Use]
    values: tuple[tuple[str, Read], ...] = ()

    @cached_property
    def laid_out(self) -> _Layout:
        """The same as the kernel wants it."""
        names = list(self.uses)
        kinds = np.array([self.uses[name] for name in names], np.int32)
        is_map = kinds == Use.MEMBERS
        columns = np.where(is_map, np.cumsum(is_map), np.cumsum(~is_map)).astype(np.int32) - 1
        values = [[one for one in self.values if one[0] == name] for name in names]
        encoded = [name.encode() for name in names]
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "names": np.frombuffer(b"".join(encoded) or b"-", np.uint8),
            "name_ends": np.cumsum([len(one) for one in encoded], dtype=np.int32),
            "uses": kinds,
            "columns": columns,
            "values": np.array([read for found in values for _, read in found], np.int32),
            "value_ends": np.cumsum([len(found) for found in values], dtype=np.int32),
        }
        placed = list(zip(names, columns.tolist(), is_map.tolist(), strict=True))
        texts, maps = ([(name, n) for name, n, use in placed if use == wanted] for wanted in (False, True))
        return _Layout(arrays, texts, maps, [one for found in values for one in found])


@dataclass(frozen=True)
class _Layout:
    """Arrays for the kernel; names of texts and of maps with their columns; values in the order of their columns."""

    arrays: dict[str, np.ndarray[Any, Any]]
    texts: list[tuple[str, int]]
    maps: list[tuple[str, int]]
    values: list[tuple[str, Read]]


@dataclass(frozen=True)
class Shredded:
    """The lines that were taken, in their order: themselves, as views of the block; their hashes (XXH64); texts (or null) and maps
    of flat members by name of the wanted member; values (null for no text and for an empty one; bools as 0 and 1). `odd`: by
    line, whether it was left out."""

    lines: pa.Array
    hashes: np.ndarray[Any, np.dtype[np.uint64]]
    texts: dict[str, pa.Array]
    members: dict[str, pa.Array]
    values: dict[tuple[str, Read], pa.Array]
    odd: np.ndarray[Any, np.dtype[np.bool_]]


class _Work(ctypes.Structure):
    """`Work` of shred.c."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("lines", ctypes.c_int64),
        ("names", ctypes.c_void_p),
        ("name_ends", ctypes.c_void_p),
        ("uses", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("value_ends", ctypes.c_void_p),
        ("wanted", ctypes.c_int64),
        ("whole", ctypes.c_void_p),
        ("hashes", ctypes.c_void_p),
        ("texts", ctypes.c_void_p),
        ("text_bits", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("read_bits", ctypes.c_void_p),
        ("bits", ctypes.c_int64),
        ("text_columns", ctypes.c_int64),
        ("value_columns", ctypes.c_int64),
        ("member_columns", ctypes.c_int64),
        ("member_names", ctypes.c_void_p),
        ("member_values", ctypes.c_void_p),
        ("member_starts", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("side", ctypes.c_void_p),
        ("side_room", ctypes.c_int64),
        ("odd", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("side_used", ctypes.c_int64),
    )


def takes(wanted: Wanted) -> bool:
    """Whether `shred` can be called for these."""
    return is_built() and len(wanted.uses) <= _MOST_NAMES


def line_starts(data: bytes | memoryview, working: Room | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each line of `data` starts, and where the last one ends; `data` ends with a line feed. Works in `working`.

    Raises RuntimeError where the kernel is not built.
    """
    starts = (working or Room()).numbers("starts", len(data) + 1)
    count = built().profilemill_line_starts(at(np.frombuffer(data, np.uint8)), ctypes.c_int64(len(data)), at(starts))
    return starts[:count].copy()


class Room:
    """Memory to work in, for one caller at a time: what was used once costs nothing the next time."""

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray[Any, np.dtype[np.uint8]]] = {}

    def block(self, size: int) -> memoryview:
        """At least so many bytes of anything, the same ones every time."""
        return self._of("block", size).data

    def numbers(self, name: str, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """So many integers; what stands there is anything."""
        return self._of(name, length * 8)[: length * 8].view(np.int64)

    def views(self, name: str, columns: int, length: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """So many columns of so many views; what stands there is anything."""
        size = columns * length * _VIEW
        return self._of(name, size)[:size].reshape(columns, length, _VIEW)

    def _of(self, name: str, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        found = self._kept.get(name)
        if found is None or len(found) < size:
            # Blocks differ a little in size. Pages that are not touched take no memory, where numpy would ask for large ones, which
            # are touched at once.
            found = np.frombuffer(pa.allocate_buffer(1 << (size - 1).bit_length() if size else 0), np.uint8)
            if size <= _MOST_KEPT:
                self._kept[name] = found
        return found


def shred(block: bytes | memoryview, starts: np.ndarray[Any, np.dtype[np.int64]], wanted: Wanted, working: Room | None = None) -> Shredded:
    """Line n of the block is `block[starts[n]:starts[n + 1]]`, valid UTF-8 with its line feed. `starts` is one longer than there are lines.

    Raises RuntimeError where the kernel is not built, and ValueError for more wanted names than it has room for.
    """
    library = built()
    lines, layout = len(starts) - 1, wanted.laid_out
    names, maps, values = len(wanted.uses), len(layout.maps), layout.values
    room = len(block) // _LEAST_BYTES_OF_A_MEMBER + 1
    bits = lines // 8 + 1
    working = working or Room()
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "starts": np.ascontiguousarray(starts, np.int64),
        **layout.arrays,
        "whole": np.empty((lines, _VIEW), np.uint8),
        "hashes": np.empty(lines, np.uint64),
        "texts": working.views("texts", names - maps, lines),
        "text_bits": np.zeros((names - maps, bits), np.uint8),
        "read": np.empty((len(values), lines), np.int64),
        "read_bits": np.zeros((len(values), bits), np.uint8),
        "member_names": working.views("names", maps, room),
        "member_values": working.views("values", maps, room),
        "member_starts": np.zeros((maps, lines + 1), np.int32),
        "side": working.views("side", 1, min(len(block), _MOST_TEXT) // _VIEW + _SIDE).reshape(-1),
        "odd": np.zeros(max(lines, 1), np.bool_),
        "data": np.frombuffer(block, np.uint8),
    }
    sizes = {"lines": lines, "wanted": names, "bits": bits, "room": room, "side_room": len(arrays["side"])}
    counts = {"text_columns": names - maps, "value_columns": len(values), "member_columns": maps}
    work = _Work(**{name: array.ctypes.data for name, array in arrays.items()}, **sizes, **counts)
    if library.profilemill_shred(ctypes.byref(work)):
        raise ValueError(f"{names} names are more than the kernel takes")
    rows = int(work.rows)
    whole = [None, pa.py_buffer(arrays["whole"][:rows]), pa.py_buffer(block)]

    bits_ = pa.py_buffer(arrays["text_bits"])
    columns = [_Texts(arrays["texts"][n], rows, bits_.slice(n * bits, bits)) for _, n in layout.texts]
    ends = arrays["member_starts"][:, rows].tolist()
    parts = ("member_names", "member_values")
    columns += [_Texts(arrays[part][n], ends[n]) for _, n in layout.maps for part in parts]
    texts = _texts(library, work, columns)
    pairs = [texts[n : n + len(parts)] for n in range(len(layout.texts), len(texts), len(parts))]

    def members(column: int, pair: Sequence[pa.Array]) -> pa.Array:
        starts = arrays["member_starts"][column, : rows + 1]
        fields = [pa.field("key", pa.string(), nullable=False), pa.field("value", pa.string())]
        some = pa.py_buffer(np.packbits(np.diff(starts) > 0, bitorder="little"))
        entries = pa.StructArray.from_arrays(pair, fields=fields)
        return pa.Array.from_buffers(pa.map_(pa.string(), pa.string()), rows, [some, pa.py_buffer(starts)], children=[entries])

    def read(column: int) -> pa.Array:
        found = [pa.py_buffer(arrays[part][column]) for part in ("read_bits", "read")]
        return pa.Array.from_buffers(values[column][1].type, rows, found)

    return Shredded(
        lines=pa.Array.from_buffers(pa.string_view(), rows, whole),
        hashes=arrays["hashes"][:rows],
        texts={name: found for (name, _), found in zip(layout.texts, texts, strict=False)},
        values={one: read(n) for n, one in enumerate(values)},
        members={name: members(n, pair) for (name, n), pair in zip(layout.maps, pairs, strict=True)},
        odd=arrays["odd"][:lines],
    )


@dataclass(frozen=True)
class _Texts:
    """Views of texts, so many of them, and a bit for each where some are null."""

    views: np.ndarray[Any, Any]
    count: int
    valid: pa.Buffer | None = None


def _texts(library: ctypes.CDLL, work: _Work, columns: Sequence[_Texts]) -> list[pa.Array]:
    """Copies: whoever keeps a column does not keep the block, and null is not to be known by a look beside the views."""
    counts = np.array([column.count for column in columns], np.int64)
    places = np.cumsum(counts + 1) - (counts + 1)
    ends = np.empty(int((counts + 1).sum()), np.int32)
    all_ends = pa.py_buffer(ends)
    # `TextColumn` of shred.c
    laid_out = np.zeros((len(columns), 5), np.int64)
    laid_out[:, 0] = [column.views.ctypes.data for column in columns]
    laid_out[:, 1] = [column.valid.address if column.valid else 0 for column in columns]
    laid_out[:, 2] = counts
    laid_out[:, 3] = ends.ctypes.data + places * ends.itemsize
    count = ctypes.c_int64(len(columns))
    library.profilemill_text_ends(at(laid_out), count)
    found = [pa.allocate_buffer(size + _IN_PLACE) for size in ends[places + counts].tolist()]
    laid_out[:, 4] = [texts.address for texts in found]
    library.profilemill_copy_texts(ctypes.byref(work), at(laid_out), count)
    return [
        pa.Array.from_buffers(
            pa.string(),
            column.count,
            [column.valid, all_ends.slice(place * ends.itemsize, (column.count + 1) * ends.itemsize), texts],
        )
        for column, place, texts in zip(columns, places.tolist(), found, strict=True)
    ]
