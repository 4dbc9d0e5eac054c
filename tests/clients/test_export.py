from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from etl import errors
from etl.clients.amplitude import AmplitudeClient, DownloadedFile, damaged_members
from tests.clients.service import FakeTime, Reply, Service, archive, fault

EXPORT = "/api/2/export"
INDIA = timezone(timedelta(hours=5, minutes=30))
HOUR = datetime(2024, 3, 2, 5, tzinfo=UTC)
MEMBER = "123456/123456_2024-03-02_5#0.json.gz"
ZIP = archive((MEMBER, b'{"a":1}\n'))
EMPTY_ZIP = archive()


def test_an_export_asks_for_both_hours_and_lands_whole(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(body=ZIP, headers={"Content-Type": "application/zip"}))
    received: list[int] = []
    target = tmp_path / "raw" / "e.zip"
    found = client.export(HOUR, HOUR + timedelta(hours=18), target, on_bytes=received.append)
    assert found == DownloadedFile(target, len(ZIP))
    assert target.read_bytes() == ZIP
    assert [path.name for path in target.parent.iterdir()] == ["e.zip"]
    assert service.seen[0].query == [("start", "20240302T05"), ("end", "20240302T23")]
    assert (received[0], received[-1]) == (0, len(ZIP))


def test_one_hour_is_the_same_hour_twice_in_any_zone(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(body=ZIP))
    there = HOUR.astimezone(timezone(timedelta(hours=-8)))
    client.export(there, HOUR, tmp_path / "e.zip")
    assert service.seen[0].query == [("start", "20240302T05"), ("end", "20240302T05")]


@pytest.mark.parametrize(
    ("first", "last", "what"),
    [
        (HOUR.replace(tzinfo=None), HOUR, "The hours of an export need a time zone"),
        (HOUR, HOUR + timedelta(minutes=30), "An export starts and ends on the hour"),
        (HOUR + timedelta(microseconds=1), HOUR, "An export starts and ends on the hour"),
        (
            HOUR.astimezone(timezone(timedelta(hours=5, minutes=30))).replace(minute=0),
            HOUR,
            "An export starts and ends",
        ),
        (HOUR, HOUR - timedelta(hours=1), "An export cannot end before it starts"),
        (HOUR, HOUR + timedelta(days=365), "An export covers at most 365 days"),
    ],
)
def test_impossible_hours_are_refused_before_any_request(
    client: AmplitudeClient, service: Service, tmp_path: Path, first: datetime, last: datetime, what: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match=what):
        client.export(first, last, tmp_path / "e.zip")
    assert service.seen == []


def test_365_days_are_allowed(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(body=ZIP))
    client.export(HOUR, HOUR + timedelta(days=365) - timedelta(hours=1), tmp_path / "e.zip")


def test_an_empty_archive_is_accepted(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(body=EMPTY_ZIP))
    client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert zipfile.ZipFile(tmp_path / "e.zip").namelist() == []


def test_a_chunked_archive_without_length_is_accepted(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZIP), ZIP)
    service.on(EXPORT, Reply(body=chunked, headers={"Transfer-Encoding": "chunked"}))
    client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert (tmp_path / "e.zip").read_bytes() == ZIP


def test_a_transport_encoding_is_undone(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(body=gzip.compress(ZIP), headers={"Content-Encoding": "gzip"}))
    client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert (tmp_path / "e.zip").read_bytes() == ZIP


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.WindowTooLarge),
        (401, errors.CredentialsError),
        (403, errors.CredentialsError),
        (404, errors.NoData),
        (504, errors.WindowTooLarge),
    ],
)
def test_statuses_that_are_final(
    client: AmplitudeClient, service: Service, tmp_path: Path, status: int, error: type[errors.ProfilemillError]
) -> None:
    service.on(EXPORT, fault(status, "Raw data files were not found."), Reply(body=ZIP))
    with pytest.raises(error) as caught:
        client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert caught.value.value == "Raw data files were not found."
    assert service.count(EXPORT) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "error"), [(429, errors.Throttled), (500, errors.ServerError), (503, errors.ServerError)])
def test_statuses_that_pass(
    client: AmplitudeClient,
    service: Service,
    time: FakeTime,
    tmp_path: Path,
    status: int,
    error: type[errors.ProfilemillError],
) -> None:
    service.on(EXPORT, Reply(status, b"busy", {"Retry-After": "30"}), Reply(body=ZIP))
    client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert time.slept == [30.0]
    service.on(EXPORT, Reply(status, b"busy"))
    with pytest.raises(error) as caught:
        client.export(HOUR, HOUR, tmp_path / "f.zip")
    assert caught.value.where["attempts"] == "5"


def test_the_404_of_a_proxy_is_not_an_empty_hour(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    service.on(EXPORT, Reply(404, b"<html><h1>Not Found</h1></html>"))
    with pytest.raises(errors.DamagedDownload, match="The 404 is a web page, not Amplitude's"):
        client.export(HOUR, HOUR, tmp_path / "e.zip")
    service.on(EXPORT, Reply(404, b"<html>Raw data files were not found.</html>"))
    with pytest.raises(errors.NoData):
        client.export(HOUR, HOUR, tmp_path / "e.zip")


@pytest.mark.parametrize(
    "broken",
    [
        Reply(body=b"<html>busy</html>"),
        Reply(body=b"rate limit exceeded"),
        Reply(body=b""),
        Reply(body=b"PK\x03\x04"),
        Reply(body=ZIP[:-10]),
        Reply(body=ZIP[: len(ZIP) // 2]),
        Reply(body=ZIP, announced=len(ZIP) + 5, then="close"),
        Reply(body=ZIP[:-30], announced=-1, then="close"),
        Reply(body=ZIP * 3000, announced=len(ZIP) * 4000, then="reset"),
        Reply(body=gzip.compress(b'{"a":1}\n')),
        Reply(then="reset-at-once"),
    ],
)
def test_a_damaged_archive_is_fetched_again_and_never_seen(
    client: AmplitudeClient, service: Service, tmp_path: Path, broken: Reply
) -> None:
    target = tmp_path / "e.zip"
    target.write_text("old")
    service.on(EXPORT, broken)
    with pytest.raises((errors.DamagedDownload, errors.NetworkError)):
        client.export(HOUR, HOUR, target)
    assert service.count(EXPORT) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["e.zip"]
    assert target.read_text() == "old"
    service.on(EXPORT, broken, Reply(body=ZIP))
    client.export(HOUR, HOUR, target)
    assert target.read_bytes() == ZIP


def test_a_failing_on_bytes_leaves_nothing_behind(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    service.on(EXPORT, Reply(body=ZIP))
    with pytest.raises(KeyboardInterrupt):
        client.export(HOUR, HOUR, tmp_path / "e.zip", on_bytes=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_file_can_be_read_by_whom_the_umask_lets(client: AmplitudeClient, service: Service, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    service.on(EXPORT, Reply(body=ZIP))
    client.export(HOUR, HOUR, tmp_path / "e.zip")
    assert (tmp_path / "e.zip").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_damaged_members_are_named_with_their_reason(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a":1}\n')
    wrong_sum = whole[:-8] + bytes(4) + whole[-4:]
    path = tmp_path / "e.zip"
    path.write_bytes(
        archive(
            ("p/", b""),
            ("p/good.json.gz", whole + whole),
            ("p/short.json.gz", whole[:-5]),
            ("p/sum.json.gz", wrong_sum),
            ("p/notes.txt", b"not checked"),
        )
    )
    assert damaged_members(path) == [
        "p/short.json.gz: Compressed file ended before the end-of-stream marker was reached",
        f"p/sum.json.gz: CRC check failed 0 != {int.from_bytes(whole[-8:-4], 'little')}",
    ]


def test_damage_that_only_the_archive_notices(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("p/plain.json.gz", b"no gzip at all")
        packed.writestr("p/flipped.json.gz", gzip.compress(b'{"a":1}\n', mtime=0))
    content = bytearray(file.getvalue())
    content[content.index(b"\x1f\x8b") + 4] ^= 1  # the gzip time stamp: only zip's checksum covers it
    path = tmp_path / "e.zip"
    path.write_bytes(content)
    assert damaged_members(path) == [
        "p/plain.json.gz: Not a gzipped file (b'no')",
        "p/flipped.json.gz: Bad CRC-32 for file 'p/flipped.json.gz'",
    ]
