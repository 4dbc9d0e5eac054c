"""An inbox in a bucket: what is read of it, and what is said where it cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, CredentialsError, NetworkError, NotFound, TransientError
from etl.sources.bucket import BucketInbox
from etl.sources.inbox import InboxFile, look, receipt_path, write_receipt
from tests.sources.buckets import BUCKET, S3, running_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with running_s3(monkeypatch) as running:
        yield running


def _inbox(tmp_path: Path, url: str = f"s3://{BUCKET}/nami") -> BucketInbox:
    return BucketInbox(url, tmp_path / "receipts")


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_whole_files_are_read_in_the_order_of_their_keys(tmp_path: Path, s3: S3) -> None:
    for key in ("b.jsonl", "2026/11/a.jsonl.gz", "a b/ü%2F.jsonl", ".c.jsonl", "2026/_tmp/d.jsonl", "receipts/job/x.jsonl", "e.json"):
        s3.put(f"nami/{key}", b"{}\n")
    s3.put("namix/z.jsonl", b"{}\n")
    s3.put("other/z.jsonl", b"{}\n")
    inbox = _inbox(tmp_path)
    names = ["2026/11/a.jsonl.gz", "a b/ü%2F.jsonl", "b.jsonl"]
    assert inbox.files() == [InboxFile(name, 3, _etag(b"{}\n")) for name in names]
    for file in inbox.files():
        assert inbox.fetch(file, tmp_path).read_bytes() == b"{}\n"
    assert len(_inbox(tmp_path, f"s3://{BUCKET}").files()) == 5
    assert _inbox(tmp_path, f"s3://{BUCKET}/nothing").files() == []
    s3.put("nami/c.jsonl", b"{}\n")
    assert [file.name for file in inbox.files()] == [*names, "c.jsonl"], "another process adds objects meanwhile"


def test_more_objects_than_one_page_holds(tmp_path: Path, s3: S3) -> None:
    for number in range(1003):
        s3.put(f"nami/{number:04d}.jsonl", b"")
    assert [file.name for file in _inbox(tmp_path).files()] == [f"{number:04d}.jsonl" for number in range(1003)]


def test_receipts_stand_apart_from_the_bucket(tmp_path: Path, s3: S3) -> None:
    keys = ["2026/a.jsonl", "2026%2Fa.jsonl", f"{'x' * 300}.jsonl", f"{'x' * 301}.jsonl"]
    for key in keys:
        s3.put(f"nami/{key}", b"{}\n")
    inbox = _inbox(tmp_path)
    for file in inbox.files():
        write_receipt(inbox, file, "job", {"load": file.name})
    assert len({receipt_path(inbox, key, "job") for key in keys}) == len(keys)
    assert look(inbox, "job").pending == [] and len(look(inbox, "other").pending) == 4
    s3.put("nami/2026/a.jsonl", b"[]\n")
    assert [file.name for file in look(inbox, "job").changed] == ["2026/a.jsonl"]


def test_an_object_that_is_gone_or_replaced_meanwhile(tmp_path: Path, s3: S3) -> None:
    s3.put("nami/a.jsonl", b"{}\n")
    inbox = _inbox(tmp_path)
    (file,) = inbox.files()
    s3.put("nami/a.jsonl", b"[]\n")
    with pytest.raises(TransientError, match=r"replaced while it was read .*a\.jsonl"):
        inbox.fetch(file, tmp_path)
    s3.client.delete_object(Bucket=BUCKET, Key="nami/a.jsonl")
    with pytest.raises(NotFound, match="gone"):
        inbox.fetch(file, tmp_path)


def test_a_bucket_that_is_not_there(tmp_path: Path, s3: S3) -> None:
    with pytest.raises(ConfigurationError, match="there is no such bucket") as told:
        _inbox(tmp_path, "s3://evnts/nami").files()
    assert "s3://evnts/nami" in str(told.value) and "AWS_ENDPOINT_URL" in str(told.value)
    with pytest.raises(ConfigurationError):
        _inbox(tmp_path, "s3://not_a*name/nami").files()


def test_wrong_keys_and_missing_rights(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("nami/a.jsonl", b"{}\n")
    (file,) = _inbox(tmp_path).files()
    reader, writer, lister = s3.user("s3:ListBucket", "s3:GetObject"), s3.user("s3:PutObject"), s3.user("s3:ListBucket")
    s3.guard()

    def use(keys: tuple[str, str]) -> BucketInbox:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
        return _inbox(tmp_path)

    assert use(reader).files() == [file]
    assert use(reader).fetch(file, tmp_path).read_bytes() == b"{}\n"
    wrong = (reader[0], "wrong-secret-0815"), ("AKIANOBODY", reader[1]), writer
    for keys in wrong:
        with pytest.raises(CredentialsError, match="refuses to be listed") as told:
            use(keys).files()
        assert keys[1] not in str(told.value)
    with pytest.raises(CredentialsError, match="refuses to be read"):
        use(lister).fetch(file, tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match="no usable keys"):
        _inbox(tmp_path).files()


def test_a_store_that_does_not_answer(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkError, match="gives no answer") as told:
        _inbox(tmp_path).files()
    assert "hidden" not in str(told.value)
