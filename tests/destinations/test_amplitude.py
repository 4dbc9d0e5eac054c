"""Uploads to the stand-in over real HTTP: every good event once, every bad one rejected with Amplitude's reason."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from etl.clients.amplitude import BATCH, AmplitudeClient
from etl.destinations.amplitude import AmplitudeOptions, deliver_amplitude
from etl.destinations.receipts import Delivered, Outgoing, Receipt
from etl.errors import CredentialsError, FatalError, ServerError, Throttled
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.clients.service import FakeTime, Reply, Seen, Service, as_json, steady


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


class Target:
    """A sandbox whose clock is the test's, a receipt, and what is uploaded between them."""

    def __init__(self, running: RunningSandbox, time: FakeTime, folder: Path) -> None:
        self.running, self.time, self.path = running, time, folder / "receipt.jsonl"
        self.quotas: dict[str, Any] = {}

    def deliver(self, events: Iterable[Outgoing], key: str = "key", **options: Any) -> Delivered:
        client = AmplitudeClient(key, None, base_url=self.running.url, clock=self.time.clock)
        chosen = replace(AmplitudeOptions(retry=steady()), **options)
        with client:
            return deliver_amplitude(events, client, self.receipt, options=chosen, clock=self.time.clock, quotas=self.quotas)

    @property
    def receipt(self) -> Receipt:
        return Receipt(self.path)

    @property
    def stored(self) -> Counter[str]:
        """How often each `insert_id` is there."""
        return Counter(self.running.state.tracked.summary()["insert_ids"])

    @property
    def duplicates(self) -> int:
        return int(self.running.state.tracked.summary()["duplicates"])

    def rows(self) -> list[dict[str, Any]]:
        """What would be exported."""
        hour = self.time.moment.replace(tzinfo=None)
        members = self.running.state.store.members(hour - timedelta(days=1), hour)
        return [json.loads(line) for member in members for line in gzip.decompress(member.content).splitlines() if line]

    def fault(self, *texts: str) -> None:
        self.running.state.faults.add(parse_faults(texts))

    def requests(self, status: int) -> int:
        return sum(1 for one in self.running.state.asked()["requests"] if one["status"] == status)


@contextmanager
def target(time: FakeTime, folder: Path, **options: Any) -> Iterator[Target]:
    with running_sandbox(SandboxOptions(clock=time.clock, **options)) as running:
        yield Target(running, time, folder)


def events(count: int, *, start: int = 0, devices: int = 50, **more: Any) -> list[Outgoing]:
    return [
        Outgoing(
            f"e-{n}",
            n + 1,
            {"event_type": "renewed", "user_id": f"user-{n % devices}", "device_id": f"device-{n % devices}", "time": 1_709_338_350_000 + n}
            | more,
        )
        for n in range(start, start + count)
    ]


def bad(number: int, **wrong: Any) -> Outgoing:
    return replace(events(1, start=number)[0], event=events(1, start=number)[0].event | wrong)


def test_everything_arrives_once_and_a_second_delivery_sends_nothing(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        done = to.deliver(events(2500))
        assert (done.acknowledged, done.rejected, done.requests) == (2500, 0, 3)
        assert to.deliver(events(2500)) == Delivered()
        assert to.stored == {f"e-{n}": 1 for n in range(2500)}
        assert to.duplicates == 0


@pytest.mark.parametrize("endpoint", ["httpapi", "batch"])
def test_bad_events_are_rejected_with_amplitudes_reason(endpoint: str, time: FakeTime, tmp_path: Path) -> None:
    wrong = {
        100: {"time": "2024-03-02"},
        101: {"time": 1.5},
        350: {"event_type": None},
        500: {"user_id": "u", "device_id": None},
        999: {"user_id": None, "device_id": None},
    }
    given = [bad(one.line - 1, **wrong[one.line - 1]) if one.line - 1 in wrong else one for one in events(1000)]
    with target(time, tmp_path) as to:
        done = to.deliver(given, **({"endpoint": BATCH} if endpoint == "batch" else {}))
        assert (done.acknowledged, done.rejected) == (995, 5)
        assert set(to.stored) == {f"e-{n}" for n in range(1000) if n not in wrong}
        found = {one.line - 1: one for one in to.receipt.rejections.values()}
        assert set(found) == set(wrong)
        assert found[100].reason == "time is not valid" and found[350].reason == "event_type is missing"
        assert "short" in found[500].reason
        assert {one.code for one in found.values()} == {"refused"}
        assert done.requests == (2 if endpoint == "batch" else done.requests)


def test_a_batch_that_names_one_bad_event_at_a_time(time: FakeTime, tmp_path: Path) -> None:
    """More answers in a row than Python would go deep."""
    taken: list[str] = []

    def batch(seen: Seen) -> Reply:
        given = seen.json()["events"]
        wrong = next((index for index, event in enumerate(given) if event["time"] == "never"), None)
        if wrong is not None:
            return as_json(400, code=400, error="Invalid", events_with_invalid_fields={"time": [wrong]})
        taken.extend(event["insert_id"] for event in given)
        return as_json(code=200, events_ingested=len(given))

    service, receipt = Service(), Receipt(tmp_path / "receipt.jsonl")
    service.on("/batch", batch)
    given = [bad(n, time="never") if n % 1000 else one for n, one in enumerate(events(2000))]
    try:
        with AmplitudeClient("key", None, base_url=service.url, clock=time.clock) as client:
            done = deliver_amplitude(given, client, receipt, options=AmplitudeOptions(BATCH, retry=steady()), clock=time.clock)
    finally:
        service.stop()
    assert (done.acknowledged, done.rejected, done.requests) == (2, 1998, 2000)
    assert taken == ["e-0", "e-1000"]
    assert {one.reason for one in receipt.rejections.values()} == {"time is not valid"}


def test_one_throttled_device_does_not_hold_up_the_others(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("httpapi:throttled")
        done = to.deliver(events(1000))
        assert done.acknowledged == 1000 and time.slept[-1] == pytest.approx(30)
        assert to.requests(429) == 1 and to.requests(200) == 2
        assert to.duplicates == 0


def test_no_event_overtakes_an_earlier_one_of_its_device(time: FakeTime, tmp_path: Path) -> None:
    """The batch is halved, the first half throttled: the second half must not go first."""
    with target(time, tmp_path) as to:
        to.fault("httpapi:413", "httpapi:throttled")
        assert to.deliver(events(100, devices=3)).acknowledged == 100
        assert to.requests(429) == 1
        for device in range(3):
            own = [row["$insert_id"] for row in to.rows() if row["device_id"] == f"device-{device}"]
            assert own == [f"e-{n}" for n in range(device, 100, 3)]


def test_a_device_that_is_throttled_for_ever_is_left_for_the_next_run(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("httpapi:throttled:20")
        assert to.deliver(events(40, devices=1)).waiting == {"throttled again and again": 40}
        assert to.deliver(events(40, devices=1)).acknowledged == 40


def test_a_used_up_day_sets_aside_and_is_remembered(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("batch:daily")
        done = to.deliver(events(100, devices=10), endpoint=BATCH)
        assert (done.acknowledged, done.waiting) == (90, {"daily quota": 10})
        assert set(to.quotas) == {"device_id:device-0", "user_id:user-0"}
        asked = len(to.running.state.asked()["requests"])
        assert to.deliver(events(100, devices=10), endpoint=BATCH).waiting == {"daily quota": 10}
        assert len(to.running.state.asked()["requests"]) == asked, "nobody is asked before the day is over"
        time.moment += timedelta(days=1, seconds=1)
        assert to.deliver(events(100, devices=10), endpoint=BATCH).acknowledged == 10
        assert set(to.stored.values()) == {1}


def test_silenced_events_are_rejected(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("httpapi:silenced")
        done = to.deliver(events(100, devices=10))
        assert (done.acknowledged, done.rejected) == (90, 10)
        assert {one.reason for one in to.receipt.rejections.values()} == {"Events silenced for device_id"}


def test_5xx_is_repeated_and_what_was_kept_counts_once(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("httpapi:stored", "httpapi:503", "httpapi:504", "httpapi:reset")
        assert to.deliver(events(500)).acknowledged == 500
        assert set(to.stored.values()) == {1} and len(to.stored) == 500
        assert to.duplicates >= 500


def test_after_the_last_retry_the_next_run_goes_on(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        first = iter([*events(1000), *events(1000, start=1000)])

        def then_down() -> Iterator[Outgoing]:
            for number, one in enumerate(first):
                if number == 1000:
                    to.fault("httpapi:503:5")
                yield one

        with pytest.raises(ServerError):
            to.deliver(then_down())
        assert len(to.receipt.acknowledged) == 1000
        assert to.deliver(events(2000)).acknowledged == 1000
        assert to.duplicates == 0


def test_413_halves_and_an_event_too_large_alone_is_rejected(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        to.fault("httpapi:413:3")
        huge = bad(50, event_properties={"text": "x" * 1_100_000})
        done = to.deliver([*events(50), huge, *events(50, start=51)])
        assert (done.acknowledged, done.rejected) == (100, 1)
        assert {one.code for one in to.receipt.rejections.values()} == {"too_large"}


def test_requests_stay_under_a_megabyte(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        done = to.deliver(events(300, event_properties={"text": "é" * 10_000}))
        assert done.acknowledged == 300 and to.requests(413) == 0 and done.requests == 7


def test_no_device_sends_faster_than_it_may(time: FakeTime, tmp_path: Path) -> None:
    """The sandbox refuses above 30 a second of one device; we keep to 10 and are never refused."""
    with target(time, tmp_path) as to:
        started = time.moment
        done = to.deliver(events(1000, devices=1))
        assert done.acknowledged == 1000 and to.requests(429) == 0
        assert (time.moment - started).total_seconds() >= 90
        assert list(to.stored) == [f"e-{n}" for n in range(1000)], "in their order"


def test_old_events_leave_the_user_properties_alone(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        plans = {"new": {"plan": "pro"}, "old": {"plan": "free"}, "next": {}}
        for key, properties in plans.items():
            one = Outgoing(key, 1, {"event_type": "renewed", "user_id": "user-1", "user_properties": properties})
            to.deliver([one], **({"endpoint": BATCH, "history": True} if key == "old" else {}))
        assert {row["$insert_id"]: row["user_properties"] for row in to.rows()}["next"] == {"plan": "pro"}


def test_what_stops_a_delivery(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        with pytest.raises(CredentialsError):
            to.deliver(events(1), key="another-key-0123")
        to.fault("httpapi:403")
        with pytest.raises(FatalError):
            to.deliver(events(1))
        to.fault("httpapi:429:5")
        with pytest.raises(Throttled):
            to.deliver(events(1))
        assert to.deliver(events(1)).acknowledged == 1


@pytest.mark.parametrize(
    "reply",
    [Reply(405, b"no"), Reply(400, b"<html>Bad Request</html>"), Reply(400), as_json(400, code=400, error="Invalid request path")],
    ids=["405", "page", "nothing", "path"],
)
def test_a_refusal_that_is_not_about_events_refuses_none(reply: Reply, time: FakeTime, tmp_path: Path) -> None:
    """A proxy in between, or a wrong address, answers everything alike: nothing of it may be written down."""
    service, receipt = Service(), Receipt(tmp_path / "receipt.jsonl")
    service.on("/2/httpapi", lambda seen: reply)
    try:
        with (
            AmplitudeClient("key", None, base_url=service.url, clock=time.clock) as client,
            pytest.raises(FatalError, match="check base_url"),
        ):
            deliver_amplitude(events(3), client, receipt, options=AmplitudeOptions(retry=steady()), clock=time.clock)
    finally:
        service.stop()
    assert not receipt.rejections and not receipt.acknowledged


def test_what_json_cannot_say_is_rejected(time: FakeTime, tmp_path: Path) -> None:
    with target(time, tmp_path) as to:
        done = to.deliver([bad(0, event_properties={"score": float("nan")}), *events(3, start=1)])
        assert (done.acknowledged, done.rejected) == (3, 1)
