"""Records have the hashes of their lines, whoever reads them, so that the same content is known again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh64_intdigest

from etl.engines import shred
from etl.landing.manifest import Landed, LoadId
from etl.landing.members import records_of
from etl.mapping import load_mapping
from etl.mapping.plan import plan
from etl.pipeline.reading import hashes_of, pieces_of
from etl.settings import packaged_mappings

EVENTS = plan(load_mapping("amplitude_events", [packaged_mappings()]), shredded=True)
_LINES = [
    b'{"user_id": "u1", "event_type": "view"}',
    b'{"user_id": "u2", "event_properties": {"a.b": [1, 2]}, "long": "' + b"x" * 70 + b'"}',
    b'{"user_id": "\\ud83d\\ude00"}',
    b'{"user_id": "half \\ud83d"}',
    b'{"user_id": "\xff"}',
    b'{"user_id": "broken',
    b"[1]",
    b"  ",
    b"",
]


def _landed(folder: Path, data: bytes) -> Landed:
    (folder / "member.json").write_bytes(data)
    return Landed(
        LoadId("amplitude_events", "shop", "2024-03-02T10"), "0" * 16, folder, ("member.json",), datetime(2024, 3, 2, 10, tzinfo=UTC)
    )


@given(st.lists(st.sampled_from(_LINES), max_size=12), st.booleans(), st.booleans(), st.sampled_from([1, 100, 1 << 20]))
def test_hashes_are_those_of_lines(lines: list[bytes], with_bom: bool, ended: bool, size: int) -> None:
    data = b"\xef\xbb\xbf" * with_bom + b"\n".join(lines) + b"\n" * ended
    with TemporaryDirectory() as folder:
        landed = _landed(Path(folder), data)
        by_pieces = [hash_ for piece in pieces_of(landed, 0, EVENTS, size) for hash_ in piece.hashes.tolist()]
        by_lines = [hash_ for table in records_of(landed, 0) for hash_ in hashes_of(table).tolist()]
    assert sorted(by_pieces) == sorted(by_lines)
    assert len(by_lines) == sum(1 for line in lines if line.strip())


@pytest.mark.parametrize("length", [*range(8), 31, 32, 33, 63, 64, 1000])
def test_the_kernel_hashes_as_the_package_does(length: int) -> None:
    line = b'{"a":"' + b"x" * length + b'"}\n'
    found = shred.shred(line, shred.line_starts(line), shred.Wanted({"a": shred.Use.TEXT}))
    assert found.hashes.tolist() == [xxh64_intdigest(line)]


@pytest.mark.parametrize(("source", "reads_text"), [("size", False), ("strip(size)", True)])
def test_records_stay_as_they_were_when_the_next_are_read(tmp_path: Path, source: str, reads_text: bool) -> None:
    """Blocks are read into one place, but for those whose texts the statement reads."""
    mapping = tmp_path / "sizes.yaml"
    mapping.write_text(f"stream: sizes\nfields:\n  - {{field: size, from: {source}, kind: string}}\n", encoding="utf-8")
    how = plan(load_mapping(str(mapping), []), shredded=True)
    assert how.reads_text == reads_text
    sizes = [f"{n} of a long text {'x' * n}" for n in range(60)]
    lines = [f'{{"size": "{size}"}}\n' for size in sizes]
    pieces = list(pieces_of(_landed(tmp_path, "".join(lines).encode()), 0, how, 300))
    assert len(pieces) > 5
    column = "text" if reads_text else how.names["size"]
    found = [text for piece in pieces if piece.taken is not None for text in piece.taken[column].to_pylist()]
    assert found == (lines if reads_text else sizes)
