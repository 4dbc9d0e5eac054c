"""The client against the stand-in over real HTTP: what arrives, what is repeated, what each refusal says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from etl.clients.mparticle import PODS, MparticleClient
from etl.errors import BadRequest, ConfigurationError, CredentialsError, DataError, PayloadTooLarge, ServerError, Throttled
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from etl.settings import Secret
from tests.clients.service import FakeTime, steady


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(key="feed-key-0123456789", secret="feed-secret-0123456789")) as running:
        yield running


@pytest.fixture
def feed(running: RunningSandbox, time: FakeTime) -> Iterator[MparticleClient]:
    with client_of(running, time) as client:
        yield client


def client_of(running: RunningSandbox, time: FakeTime, ending: str = "", secret: str | None = None) -> MparticleClient:
    options = running.state.options
    password = Secret(options.secret + ending if secret is None else secret)
    return MparticleClient(options.key + ending, password, base_url=running.url, clock=time.clock, retry=steady())


def batch(number: int, **more: Any) -> dict[str, Any]:
    data = {"event_name": "renewed", "custom_event_type": "transaction", "source_message_id": f"e{number}"}
    plain = {"environment": "production", "user_identities": {"customer_id": "u-1"}, "source_request_id": f"nami:{number}"}
    return plain | {"events": [{"event_type": "custom_event", "data": data}]} | more


def received(running: RunningSandbox) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(running.url + "/_sandbox/mparticle", timeout=10).json()
    return found


def fault(running: RunningSandbox, *texts: str) -> None:
    running.state.faults.add(parse_faults(texts))


def ids(running: RunningSandbox) -> list[str | None]:
    return [one["batch"].get("source_request_id") for one in received(running)["taken"]]


def test_a_batch_arrives_as_it_was_given(running: RunningSandbox, feed: MparticleClient) -> None:
    given = batch(1, user_attributes={"namiml_active_skus": ["sku_é"], "namiml_in_trial_period": "false"})
    assert feed.send(given).rate_used == 1.0
    assert received(running)["taken"][-1] == {"feed": running.state.options.key, "batch": given}


def test_each_pair_of_key_and_secret_is_a_feed(running: RunningSandbox, time: FakeTime) -> None:
    with client_of(running, time, "-ios") as ios:
        ios.send(batch(2))
    with client_of(running, time, "-android") as android:
        android.send(batch(2))
    assert [one["feed"] for one in received(running)["taken"][-2:]] == [running.state.options.key + end for end in ("-ios", "-android")]


def test_a_lost_answer_is_repeated_and_counts_once(running: RunningSandbox, feed: MparticleClient) -> None:
    fault(running, "mparticle:stored", "mparticle:503", "mparticle:html")
    before = received(running)["repeated"]
    feed.send_bulk([batch(10), batch(11)])
    assert [ids(running).count(f"nami:{number}") for number in (10, 11)] == [1, 1]
    assert received(running)["repeated"] == before + 2


def test_without_a_request_id_an_open_answer_is_not_repeated(running: RunningSandbox, feed: MparticleClient) -> None:
    fault(running, "mparticle:500")
    plain = batch(12)
    del plain["source_request_id"]
    with pytest.raises(ServerError):
        feed.send_bulk([plain])
    fault(running, "mparticle:429")
    feed.send_bulk([plain])


def test_429_waits_as_asked_and_tells_the_limit(running: RunningSandbox, feed: MparticleClient, time: FakeTime) -> None:
    fault(running, "mparticle:429:2")
    feed.send(batch(13))
    assert len(time.slept) == 2 and min(time.slept) >= 1
    fault(running, "mparticle:429:5")
    with pytest.raises(Throttled) as caught:
        feed.send(batch(14))
    assert caught.value.where["limit"] == "feed"


def test_400_says_what_mparticle_says(feed: MparticleClient) -> None:
    with pytest.raises(BadRequest) as caught:
        feed.send(batch(15, colour="red"))
    assert caught.value.value == "Unknown property: colour"


def test_bulk_is_silent_about_a_bad_batch(running: RunningSandbox, feed: MparticleClient) -> None:
    """Why whoever sends in bulk has to look at each batch first."""
    feed.send_bulk([batch(16), batch(17, environment="test")])
    assert "nami:16" in ids(running) and "nami:17" not in ids(running)
    assert received(running)["dropped"][-1]["why"] == "environment must be development or production"


def test_too_many_batches_and_too_many_bytes(feed: MparticleClient) -> None:
    with pytest.raises(BadRequest, match="More than 100 batches"):
        feed.send_bulk([batch(number) for number in range(101)])
    with pytest.raises(PayloadTooLarge):
        feed.send_bulk([batch(18, ip="x" * 270_000)])


def test_wrong_credentials(running: RunningSandbox, time: FakeTime) -> None:
    with client_of(running, time, secret="wrong-secret-0123") as client, pytest.raises(CredentialsError) as caught:
        client.send(batch(19))
    assert "wrong-secret-0123" not in str(caught.value) and caught.value.status == 403
    assert requests.post(running.url + "/v2/events", json=batch(19), timeout=10).status_code == 401


def test_what_json_cannot_say_is_refused_before_it_is_sent(feed: MparticleClient) -> None:
    with pytest.raises(DataError, match="cannot be written as JSON"):
        feed.send(batch(20, user_attributes={"score": math.nan}))


def test_hosts_and_settings(time: FakeTime) -> None:
    assert [MparticleClient("k", "s", pod=pod).base_url for pod in PODS][2] == "https://s2s.eu1.mparticle.com"
    with pytest.raises(ConfigurationError, match="Unknown pod"):
        MparticleClient("k", "s", pod="mars")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="empty"):
        MparticleClient("k", " ")
