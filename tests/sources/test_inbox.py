"""The inbox as its readers see it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, DataError
from etl.sources.inbox import (
    FolderInbox,
    InboxFile,
    digest_of,
    finished_files,
    look,
    read_lines,
    read_receipt,
    receipt_path,
    write_receipt,
)


def test_only_whole_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl.gz", ".c.jsonl.open", ".d.jsonl", "_e.jsonl", "f.json", "g.jsonl.part"):
        (tmp_path / name).write_text("")
    for name in ("receipts", "torn", "h.jsonl"):
        (tmp_path / name).mkdir()
    assert [path.name for path in finished_files(tmp_path)] == ["a.jsonl.gz", "b.jsonl"]


def test_each_job_reads_a_file_once(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n")
    inbox = FolderInbox(tmp_path)
    first, second = look(inbox, "to-amplitude").pending
    assert (first, second) == (InboxFile("a.jsonl", 3), InboxFile("b.jsonl", 3))
    receipt_path(inbox, "a.jsonl", "to-amplitude").parent.mkdir(parents=True)
    receipt_path(inbox, "a.jsonl", "to-amplitude").with_suffix(".progress").write_text("half of it")
    assert look(inbox, "to-amplitude").pending == [first, second]
    assert read_receipt(inbox, "a.jsonl", "to-amplitude") is None
    write_receipt(inbox, first, "to-amplitude", {"sent": 1, "name": "é"})
    assert look(inbox, "to-amplitude").pending == [second]
    assert look(inbox, "to-mparticle").pending == [first, second]
    assert read_receipt(inbox, "a.jsonl", "to-amplitude") == {"sent": 1, "name": "é", "size": 3, "version": ""}
    assert json.loads((tmp_path / "receipts/to-amplitude/a.jsonl.json").read_text(encoding="utf-8"))["sent"] == 1


def test_a_file_that_grew_after_it_was_sent_is_named(tmp_path: Path) -> None:
    inbox = FolderInbox(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n")
        write_receipt(inbox, InboxFile(name, 3), "job", {})
    old = receipt_path(inbox, "b.jsonl", "job")
    old.write_text('{"load": "as receipts once were"}')
    for name in ("a.jsonl", "b.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write("{}\n")
    found = look(inbox, "job")
    assert (found.pending, [file.name for file in found.changed]) == ([], ["a.jsonl"])


def test_a_copy_is_the_same_load(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n')
    shutil.copy(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    (tmp_path / "c.jsonl").write_text('{"id": 2}\n')
    digests = [digest_of(path) for path in finished_files(tmp_path)]
    assert digests[0] == digests[1] != digests[2]


def test_lines_have_their_numbers(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": "\xe2\x80\xa8"}\n{"c": 3}'
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content[:13]) + gzip.compress(content[13:]))
    expected = [(1, b'{"a": 1}'), (4, b'{"b": "\xe2\x80\xa8"}'), (5, b'{"c": 3}')]
    assert [list(read_lines(path)) for path in finished_files(tmp_path)] == [expected, expected]


def test_damage_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-10])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz"):
        list(read_lines(tmp_path / "a.jsonl.gz"))
    with pytest.raises(ConfigurationError, match="no such inbox"):
        FolderInbox(tmp_path / "nowhere").files()
