"""Many senders at once, `kill -9` in the middle, a new start: every event that was answered with 200 is in the inbox."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from pathlib import Path

from tests.receiver.receivers import events_in, receiver, start

SENDERS, SECONDS = 50, 1.5


def test_no_acknowledged_event_is_lost(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    acknowledged: list[list[str]] = [[] for _ in range(SENDERS)]
    ending = threading.Event()
    one = start(inbox, "--rotate-bytes", "100000", "--rotate-seconds", "0.5")
    senders = [
        threading.Thread(target=_send, args=(one.port, number, acknowledged[number], ending), daemon=True) for number in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    time.sleep(SECONDS)
    one.kill()
    before = sum(map(len, acknowledged))
    again = start(inbox, "--rotate-bytes", "100000", "--rotate-seconds", "0.5", port=one.port)
    time.sleep(SECONDS)
    ending.set()
    for sender in senders:
        sender.join(30)
    assert again.stop() == 0
    for process in (one.process, again.process):
        process.communicate()

    stored = Counter(event["id"] for event in events_in(inbox / "nami"))
    sent = {event for events in acknowledged for event in events}
    assert 0 < before < len(sent)
    assert sent - stored.keys() == set()
    # What was not acknowledged is sent again by its sender, so that it may be there twice; nothing else is.
    assert sum(stored.values()) - len(sent) <= SENDERS


def _send(port: int, sender: int, acknowledged: list[str], ending: threading.Event) -> None:
    """Sends one event after the other, each until it is acknowledged, as the vendors do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for number in itertools.count():
        event = f"{sender}-{number}"
        while True:
            if ending.is_set():
                connection.close()
                return
            try:
                connection.request("POST", "/nami", json.dumps({"id": event, "filling": "x" * (number % 700)}))
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    acknowledged.append(event)
                    break
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.02)


def test_a_torn_line_is_set_aside_and_never_glued_to_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "nami"
    folder.mkdir(parents=True)
    (folder / ".20260101T000000.000000Z-0000000a.jsonl.open").write_bytes(b'{"id": "a"}\n{"id": "b"}\n{"id": "c"')
    (folder / ".20260101T000000.000000Z-0000000b.jsonl.open").write_bytes(b'{"id": "d"}')
    (folder / ".20260101T000000.000000Z-0000000c.jsonl.open").write_bytes(b"")
    with receiver(tmp_path / "inbox") as one:
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
        connection.request("POST", "/nami", '{"id": "e"}')
        assert connection.getresponse().status == 200
        connection.close()
        assert one.stop() == 0
    assert [event["id"] for event in events_in(folder)] == ["a", "b", "e"]
    assert {path.name: path.read_bytes() for path in (folder / "torn").iterdir()} == {
        "20260101T000000.000000Z-0000000a.jsonl": b'{"id": "c"',
        "20260101T000000.000000Z-0000000b.jsonl": b'{"id": "d"}',
    }
