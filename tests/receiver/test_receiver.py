"""The receiver, as a process: what it accepts, what it refuses, and what is on disk afterwards."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from etl.sources.inbox import finished_files, open_files
from tests.receiver.receivers import KEY, SECRET, Receiver, events_in, receiver, start

BODY = b'{"event_id": "01A", "object_type": "sms",\r\n "metric": "sent", "n": 12345678901234567890123, "text": "caf\xc3\xa9"}'


def signed(body: bytes, key: str = KEY, timestamp: int | None = None) -> dict[str, str]:
    """The headers that Customer.io sends, made as its documentation says."""
    moment = str(int(time.time()) if timestamp is None else timestamp)
    mac = hmac.new(key.encode(), b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-CIO-Timestamp": moment, "X-CIO-Signature": mac, "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Receiver, Path]]:
    inbox = tmp_path_factory.mktemp("shared") / "inbox"
    with receiver(inbox, "--max-body", "2000", environment={"CUSTOMERIO_SIGNING_KEY": KEY, "NAMI_WEBHOOK_SECRET": SECRET}) as one:
        yield one, inbox


def lines_now(inbox: Path) -> list[bytes]:
    """What is on disk while the receiver runs, finished or not."""
    return [line for path in sorted((*inbox.glob("*.jsonl"), *open_files(inbox))) for line in path.read_bytes().splitlines()]


def test_a_signed_event_is_on_disk_as_it_was_sent_when_it_is_answered(running: tuple[Receiver, Path]) -> None:
    one, inbox = running
    before = len(lines_now(inbox / "customerio"))
    answer = requests.post(f"{one.url}/customerio", data=BODY, headers=signed(BODY), timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"stored": True})
    assert lines_now(inbox / "customerio")[before:] == [BODY.replace(b"\r\n", b"  ")]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "missing"),
        (signed(BODY, key="another"), "not that of this body"),
        (signed(BODY + b" "), "not that of this body"),
        (signed(BODY) | {"X-CIO-Timestamp": "1"}, "not that of this body"),
        (signed(BODY) | {"X-CIO-Timestamp": "12e3"}, "no number"),
        (signed(BODY) | {"X-CIO-Signature": "é"}, "not that of this body"),
        (signed(BODY, timestamp=int(time.time()) - 1000), "too far from"),
        (signed(BODY, timestamp=int(time.time()) + 1_000_000), "too far from"),
    ],
)
def test_events_that_are_not_customerios_are_refused(running: tuple[Receiver, Path], headers: dict[str, str], why: str) -> None:
    one, inbox = running
    before = lines_now(inbox / "customerio")
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = requests.post(f"{one.url}/customerio", data=BODY, headers=encoded, timeout=10)
    assert answer.status_code == 401
    assert why in answer.json()["error"]
    assert lines_now(inbox / "customerio") == before


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/nami/{SECRET}", {}, 200),
        ("/nami", {"Authorization": f"Bearer {SECRET}"}, 200),
        ("/nami", {}, 401),
        ("/nami/wrong", {}, 401),
        ("/nami", {"Authorization": "Bearer "}, 401),
        (f"/customerio/{SECRET}", {}, 404),
        ("/somewhere", {}, 404),
    ],
)
def test_namis_shared_secret(running: tuple[Receiver, Path], path: str, headers: dict[str, str], status: int) -> None:
    assert requests.post(running[0].url + path, json={"id": "n"}, headers=headers, timeout=10).status_code == status


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b'{"a": 1', b'{"a": NaN}', b"\xff{}", b'{"a": "line\nbreak"}', b"{}{}"])
def test_what_is_no_json_object_is_refused(running: tuple[Receiver, Path], body: bytes) -> None:
    assert requests.post(f"{running[0].url}/nami/{SECRET}", data=body, timeout=10).status_code == 400


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(running: tuple[Receiver, Path]) -> None:
    one, inbox = running
    before = lines_now(inbox / "nami")
    large = b'{"a": "' + b"x" * 2000 + b'"}'
    assert requests.post(f"{one.url}/nami/{SECRET}", data=large, timeout=10).status_code == 413
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    connection.request(
        "POST", f"/nami/{SECRET}", body=iter([large[:1500], large[1500:]]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().status == 413
    connection.close()
    assert lines_now(inbox / "nami") == before


def test_a_sender_of_far_too_much_can_read_why_it_is_refused(tmp_path: Path) -> None:
    with receiver(tmp_path, "--max-body", "200000", "--allow-unsigned") as one:
        for _ in range(10):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{one.url}/nami", b" " * 3_000_000, timeout=10)
            refused.value.close()
            assert refused.value.code == 413


def test_a_sender_that_never_finishes_is_answered(running: tuple[Receiver, Path]) -> None:
    with socket.create_connection(("127.0.0.1", running[0].port), timeout=20) as slow:
        slow.sendall(f"POST /nami/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 503")


def test_health_and_other_methods(running: tuple[Receiver, Path]) -> None:
    one, _ = running
    answer = requests.get(f"{one.url}/health", timeout=10)
    assert answer.status_code == 200
    assert answer.json()["healthy"] is True
    assert requests.get(f"{one.url}/customerio", timeout=10).status_code == 405


def test_refusals_are_counted_and_the_first_of_a_kind_is_logged(tmp_path: Path) -> None:
    with receiver(tmp_path, environment={"CUSTOMERIO_SIGNING_KEY": KEY}) as one:
        for _ in range(3):
            requests.post(f"{one.url}/customerio", data=BODY, headers=signed(BODY, key="another"), timeout=10)
        requests.post(f"{one.url}/customerio", data=b"[]", headers=signed(b"[]"), timeout=10)
        vendors = requests.get(f"{one.url}/health", timeout=10).json()["vendors"]
        assert vendors["customerio"] == {"stored": 0, "refused": {"400": 1, "401": 3}, "open": True}
        one.stop()
        log = one.process.communicate()[1]
    assert log.count("answered 401 to a request for /customerio: the signature is not that of this body") == 1


def test_it_ends_in_order_and_shows_no_secret(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for number in (signal.SIGTERM, signal.SIGINT):
        one = start(inbox, environment={"CUSTOMERIO_SIGNING_KEY": KEY, "NAMI_WEBHOOK_SECRET": SECRET})
        requests.post(f"{one.url}/customerio", data=BODY, headers=signed(BODY), timeout=10)
        requests.post(f"{one.url}/nami/{SECRET}", data=b'{"id": "n"}', timeout=10)
        requests.post(f"{one.url}/nami/{SECRET}x", data=b"", timeout=10)
        assert one.stop(number) == 0
        out, err = one.process.communicate()
        assert "DEBUG" in err
        assert KEY not in out + err
        assert SECRET not in out + err
    assert [len(finished_files(inbox / name)) for name in ("customerio", "nami")] == [2, 2]
    assert open_files(inbox / "customerio") == open_files(inbox / "nami") == []


def test_without_a_key_customerios_path_is_closed_and_strangers_are_kept_out(tmp_path: Path) -> None:
    with receiver(tmp_path / "inbox") as one:
        assert requests.post(f"{one.url}/customerio", data=BODY, timeout=10).status_code == 404
        assert requests.post(f"{one.url}/nami", data=BODY, timeout=10).status_code == 200
    with receiver(tmp_path / "inbox", "--allow-unsigned") as one:
        assert requests.post(f"{one.url}/customerio", data=BODY, timeout=10).status_code == 200
    refused = refusal(tmp_path / "inbox", "--host", "0.0.0.0")
    assert "NAMI_WEBHOOK_SECRET" in refused


def test_one_receiver_for_an_inbox_and_one_for_a_port(tmp_path: Path) -> None:
    with receiver(tmp_path / "inbox") as one:
        assert "another receiver" in refusal(tmp_path / "inbox")
        assert f"127.0.0.1:{one.port}" in refusal(tmp_path / "other", "--port", str(one.port))
    (tmp_path / "file").write_text("")
    assert "cannot write to the inbox" in refusal(tmp_path / "file")


def refusal(inbox: Path, *arguments: str) -> str:
    """What a receiver says that does not start."""
    command = [sys.executable, "-m", "etl", "receive", "--inbox", str(inbox), "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_files_are_finished_by_age_while_it_runs(tmp_path: Path) -> None:
    with receiver(tmp_path / "inbox", "--rotate-seconds", "0.1") as one:
        requests.post(f"{one.url}/nami", data=BODY, timeout=10)
        deadline = time.monotonic() + 20
        while not finished_files(tmp_path / "inbox" / "nami"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [event["event_id"] for event in events_in(tmp_path / "inbox" / "nami")] == ["01A"]


def test_a_disk_that_takes_nothing_is_answered_503_and_the_next_event_is_stored(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    with receiver(inbox, "--rotate-bytes", "1") as one:
        assert requests.post(f"{one.url}/nami", json={"id": 1}, timeout=10).status_code == 200
        (inbox / "nami").rename(inbox / "gone")
        answer = requests.post(f"{one.url}/nami", json={"id": 2}, timeout=10)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert requests.get(f"{one.url}/health", timeout=10).status_code == 503
        (inbox / "gone").rename(inbox / "nami")
        assert requests.post(f"{one.url}/nami", json={"id": 3}, timeout=10).status_code == 200
        assert requests.get(f"{one.url}/health", timeout=10).status_code == 200
        one.stop()
        log = one.process.communicate()[1]
    assert log.count("does not take what arrives (No such file or directory)") == log.count("takes what arrives again") == 1
    assert [event["id"] for event in events_in(inbox / "nami")] == [1, 3]
