"""Lines: UTF-8, split on \\n only, BOM and blank lines tolerated, nothing lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import DamagedDownload, SnapshotRefused
from etl.landing.readers import blocks, inflate, lines, texts
from etl.landing.snapshot import rows_of
from etl.records import masked


def _read(data: bytes) -> list[tuple[int, str]]:
    table = lines(data, 0, 0)
    return list(zip(table.column("line").to_pylist(), [text.rstrip("\n") for text in table.column("text").to_pylist()], strict=True))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b'{"a":1}', [(1, '{"a":1}')]),
        (b'\xef\xbb\xbf{"a":1}\n\n  \t\n{"b":2}\n', [(1, '{"a":1}'), (4, '{"b":2}')]),
        (b'{"a":1}\r\n\r\n{"b":2}\r\n', [(1, '{"a":1}\r'), (3, '{"b":2}\r')]),
        ('{"a":"x\u2028y\x0bz"}\n'.encode(), [(1, '{"a":"x\u2028y\x0bz"}')]),
        (b'{"a":"\xff"}\n{"b":2}\n', [(1, '\ufffd{"a":"\ufffd"}'), (2, '{"b":2}')]),
    ],
)
def test_lines(data: bytes, expected: list[tuple[int, str]]) -> None:
    assert _read(data) == expected


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8))
def test_every_line_that_is_not_blank_is_there(parts: list[bytes]) -> None:
    data = b"\n".join(parts)
    body = data.removeprefix(b"\xef\xbb\xbf")
    expected = [number for number, line in enumerate(body.split(b"\n"), start=1) if line.strip(b" \t\r")]
    assert [number for number, _ in _read(data)] == expected


def test_half_a_surrogate_pair_is_replaced() -> None:
    line = r'{"\udc00": "\uD83D\ud83d\uDE00 \ud83d", "kept": "\\ud83d \\\ud83d"}'
    (found,) = lines(line.encode(), 0, 0)["text"].to_pylist()
    assert json.loads(found) == {"\ufffd": "\ufffd\U0001f600 \ufffd", "kept": "\\ud83d \\\ufffd"}
    assert texts([(1, line)], 0, 0)["text"].to_pylist() == [found.rstrip("\n")]


def test_blocks_are_whole_lines_and_numbers_go_on(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + b"".join(b"%d" % (10 ** (n % 9)) + b"\n" * (1 + n % 3) for n in range(50)) + b"end"
    path = tmp_path / "m.json.gz"
    path.write_bytes(gzip.compress(data, mtime=0))
    found = [bytes(block) for block in blocks(path, size=7)]
    assert b"".join(found) == data
    assert all(block.endswith(b"\n") for block in found[:-1])
    before, numbered = 0, []
    for block in found:
        table = lines(block, 0, 0, before)
        numbered += list(zip(table.column("line").to_pylist(), table.column("text").to_pylist(), strict=True))
        before += block.count(b"\n")
    assert [(number, text.rstrip("\n")) for number, text in numbered] == _read(data)


@given(st.lists(st.sampled_from([b"", b"a", b"bc" * 40, b"d" * 700]), max_size=30).map(b"\n".join), st.integers(1, 200), st.booleans())
def test_blocks_are_whole_lines_of_about_a_size(data: bytes, size: int, zipped: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "member"
        path.write_bytes(gzip.compress(data) if zipped else data)
        found = [bytes(block) for block in blocks(path, size)]
    assert b"".join(found) == data
    assert all(block.endswith(b"\n") for block in found[:-1])
    longest = max((len(line) + 1 for line in data.split(b"\n")), default=0)
    assert all(len(block) <= size + longest for block in found)


def test_damaged_gzip_names_its_member(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a":1}\n' * 100, mtime=0)
    path = tmp_path / "1_2024-03-02_0#0.json.gz"
    path.write_bytes(whole + gzip.compress(b"more", mtime=0))
    assert inflate(path).endswith(b"more"), "several gzip parts are one file"
    path.write_bytes(whole[:-5])
    with pytest.raises(DamagedDownload, match=r"member 1_2024-03-02_0#0\.json\.gz"):
        inflate(path)


def test_cohort_rows() -> None:
    data = b'"amplitude_id","user_id","amplitude_id","gp plan"\n"1","","9","pro"\n"2","u","8",""\n'
    assert list(rows_of(data)) == [{"amplitude_id": "1", "gp plan": "pro"}, {"amplitude_id": "2", "user_id": "u"}]
    assert list(rows_of(b'"\tgroup_value"\n"\tacme"\n')) == [{"group_value": "acme"}]
    assert list(rows_of(b"")) == []


@pytest.mark.parametrize("data", [b'"amplitude_id"\n"1', b'"amplitude_id","user_id"\n"1"\n', b'"name"\n"x"\n'])
def test_a_file_that_is_no_table_of_members_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotRefused):
        list(rows_of(data))


def test_masked_text_keeps_no_identity() -> None:
    assert masked('{"email": "ana@example.com", "phone": 5558675309, "token": "abcdefghijklmnopqrstuvwxyz"') == (
        '{"email": "***", "phone": ***, "token": "***"'
    )
    assert len(masked("x y " * 1000)) == 200
