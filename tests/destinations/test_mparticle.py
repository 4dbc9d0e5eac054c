"""Batches to the stand-in's feeds: what mParticle would drop without a word never gets there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from etl.clients.mparticle import MparticleClient
from etl.destinations.mparticle import deliver_mparticle
from etl.destinations.mparticle_batch import batch_of, fault_of
from etl.destinations.receipts import Delivered, Outgoing, Receipt
from etl.errors import ConfigurationError, FatalError, ServerError
from etl.sandbox.faults import parse_faults
from etl.sandbox.mparticle_rules import fault_of as their_fault_of
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.clients.service import FakeTime, Reply, Service, steady


class Target:
    def __init__(self, running: RunningSandbox, folder: Path, time: FakeTime) -> None:
        self.running, self.path, self.time = running, folder / "receipt.jsonl", time

    def deliver(self, events: list[Outgoing], names: tuple[str, ...] = ("ios", "android"), **options: Any) -> Delivered:
        with ExitStack() as stack:
            feeds = {
                name: stack.enter_context(
                    MparticleClient(f"key-{name}", f"secret-{name}", base_url=self.running.url, clock=self.time.clock, retry=steady())
                )
                for name in names
            }
            return deliver_mparticle(events, feeds, Receipt(self.path), environment="production", **options)

    @property
    def received(self) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(self.running.url + "/_sandbox/mparticle", timeout=10).json()
        return found

    def fault(self, *texts: str) -> None:
        self.running.state.faults.add(parse_faults(texts))


@pytest.fixture
def to(tmp_path: Path) -> Iterator[Target]:
    with running_sandbox(SandboxOptions()) as running:
        yield Target(running, tmp_path, FakeTime())


def mapped(**data: Any) -> dict[str, Any]:
    plain = {"event_name": "renewed", "custom_event_type": "transaction", "timestamp_unixtime_ms": 1_709_338_350_000}
    return {"user_identities": {"customer_id": "u-1042"}, "events": [{"event_type": "custom_event", "data": plain | data}]}


def outgoing(count: int, **data: Any) -> list[Outgoing]:
    return [Outgoing(f"nami:{n}", n + 1, mapped(**data), "ios" if n % 3 else "android") for n in range(count)]


def test_each_batch_reaches_the_feed_of_its_platform_once(to: Target) -> None:
    done = to.deliver(outgoing(250))
    assert (done.acknowledged, done.rejected) == (250, 0)
    taken = to.received["taken"]
    assert sorted((one["batch"]["source_request_id"], one["feed"]) for one in taken) == sorted(
        (f"nami:{n}", "key-ios" if n % 3 else "key-android") for n in range(250)
    )
    assert to.deliver(outgoing(250)) == Delivered()
    assert to.received["repeated"] == 0


def test_what_breaks_a_published_rule_is_rejected_with_the_rule(to: Target) -> None:
    wrong = {
        3: {"custom_event_type": "impression"},
        5: {"timestamp_unixtime_ms": "2024-03-02"},
        8: {"event_name": "x" * 257},
        9: {"custom_attributes": {"text": "x" * 4097}},
        11: {"custom_attributes": {f"a{n}": "1" for n in range(101)}},
        14: {"custom_attributes": {f"a{n}": "x" * 4000 for n in range(40)}},
    }
    given = [Outgoing(f"nami:{n}", n + 1, mapped(**wrong.get(n, {})), "ios") for n in range(20)]
    given.append(Outgoing("nami:20", 21, {**mapped(), "colour": "red"}, "ios"))
    given.append(Outgoing("nami:21", 22, mapped(), "windows"))
    done = to.deliver(given)
    assert (done.acknowledged, done.rejected) == (14, 8)
    reasons = {one.line - 1: one.reason for one in Receipt(to.path).rejections.values()}
    assert set(reasons) == {*wrong, 20, 21}
    assert reasons[20] == "colour: Extra inputs are not permitted"
    assert reasons[21] == "there is no feed for the platform windows"
    assert reasons[3].startswith("events.0.data.custom_event_type: Input should be") and "160,6" in reasons[14]
    assert to.received["dropped"] == []


def test_values_become_texts() -> None:
    given = mapped(custom_attributes={"count": 3, "share": 0.5, "new": True, "none": None, "tags": ["a", 1]})
    given["user_attributes"] = {"namiml_in_trial_period": False, "namiml_active_skus": ["s", 7, None], "gone": None}
    batch = batch_of(given, "nami:e1", "development")
    assert batch["user_attributes"] == {"namiml_in_trial_period": "false", "namiml_active_skus": ["s", "7"]}
    data = batch["events"][0]["data"]
    assert data["custom_attributes"] == {"count": "3", "share": "0.5", "new": "true", "tags": "a,1"}
    assert (batch["source_request_id"], data["source_message_id"], batch["environment"]) == ("nami:e1", "nami:e1", "development")
    assert fault_of(batch) is None and their_fault_of(batch) is None


def test_lost_answers_change_nothing(to: Target) -> None:
    to.fault("mparticle:stored", "mparticle:503", "mparticle:429")
    assert to.deliver(outgoing(100), names=("ios", "android")).acknowledged == 100
    received = to.received
    assert len(received["taken"]) == 100 and received["repeated"] > 0


def test_after_the_last_retry_the_next_delivery_goes_on(to: Target) -> None:
    to.deliver(outgoing(50))
    to.fault("mparticle:503:5")
    with pytest.raises(ServerError) as caught:
        to.deliver(outgoing(90))
    assert caught.value.where["feed"] in ("ios", "android"), "each has a key of its own"
    assert to.deliver(outgoing(90)).acknowledged == 40
    assert len(to.received["taken"]) == 90 and to.received["repeated"] == 0


def test_a_bulk_request_that_is_refused_is_halved(to: Target) -> None:
    to.fault("mparticle:413", "mparticle:400:2")
    assert to.deliver(outgoing(30), names=("ios", "android")).acknowledged == 30


def test_a_single_batch_that_is_refused_is_rejected_with_their_words(to: Target) -> None:
    to.fault("mparticle:400")
    assert to.deliver(outgoing(1)).rejected == 1
    (rejection,) = Receipt(to.path).rejections.values()
    assert (rejection.code, rejection.reason) == ("refused", "Something went wrong")


@pytest.mark.parametrize("reply", [Reply(405, b"no"), Reply(400, b"<html>Bad Request</html>")], ids=["405", "page"])
def test_a_refusal_that_is_not_mparticles_refuses_nothing(reply: Reply, tmp_path: Path) -> None:
    service, receipt = Service(), Receipt(tmp_path / "receipt.jsonl")
    service.on("/v2/bulkevents", lambda seen: reply)
    try:
        with (
            MparticleClient("key", "secret", base_url=service.url, retry=steady()) as client,
            pytest.raises(FatalError, match="check base_url"),
        ):
            deliver_mparticle(outgoing(6), {"ios": client, "android": client}, receipt, environment="production")
    finally:
        service.stop()
    assert not receipt.rejections and not receipt.acknowledged


def test_old_data_goes_to_the_historical_path(to: Target) -> None:
    moment = datetime.fromtimestamp(1_709_338_350, UTC)
    for before in (moment, moment + timedelta(seconds=1)):
        to.deliver([Outgoing(str(before), 1, mapped(), "ios")], historical_before=before)
    to.deliver([Outgoing("timeless", 1, mapped(timestamp_unixtime_ms=None), "ios")], historical_before=moment)
    asked = [one["path"] for one in to.running.state.asked()["requests"]]
    assert asked == ["/v2/events", "/v2/bulkevents/historical", "/v2/events"]


def test_a_destination_without_a_feed(to: Target) -> None:
    with pytest.raises(ConfigurationError, match="no feed"):
        to.deliver(outgoing(1), names=())
