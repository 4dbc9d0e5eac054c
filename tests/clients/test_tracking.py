"""Events to HTTP V2 and Batch, against a stand-in that shares no code with the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import errors
from etl.clients.amplitude import BATCH, HTTP_V2, INGESTION_HOSTS, AmplitudeClient, Endpoint, Ingested, requests_of
from etl.clients.amplitude_names import SNAKE_CASE
from etl.clients.amplitude_tracking import encoded
from tests.clients.service import API_KEY, SECRET, FakeTime, Reply, Service, as_json, steady

PATH = "/2/httpapi"
EVENT = {"event_type": "Order Completed", "user_id": "u-1042"}
OK = as_json(code=200, events_ingested=1, payload_size_bytes=77, server_upload_time=1709338351500)


# Where it goes


@pytest.mark.parametrize(("region", "host"), [("us", "https://api2.amplitude.com"), ("eu", "https://api.eu.amplitude.com")])
def test_each_region_has_its_host(region: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMPLITUDE_TOKEN_ENDPOINT", raising=False)
    assert AmplitudeClient("k", None, region=region).token_endpoint == INGESTION_HOSTS[region] == host  # type: ignore[arg-type]


def test_the_nearest_word_on_the_endpoint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"base_url": "http://base", "token_endpoint": "http://given/"}
    monkeypatch.delenv("AMPLITUDE_TOKEN_ENDPOINT", raising=False)
    assert AmplitudeClient("k", None, base_url="http://base").token_endpoint == "http://base"
    monkeypatch.setenv("AMPLITUDE_TOKEN_ENDPOINT", "https://api2.amplitude.com")
    client = AmplitudeClient("k", "s", base_url="http://base")
    assert (client.token_endpoint, client.base_url) == ("https://api2.amplitude.com", "http://base")
    assert AmplitudeClient("k", None, region="eu").token_endpoint == "https://api2.amplitude.com"
    assert AmplitudeClient("k", None, **given).token_endpoint == "http://given"  # type: ignore[arg-type]


def test_sending_needs_no_secret_and_reading_says_that_it_does(service: Service) -> None:
    service.on(PATH, OK)
    with AmplitudeClient(API_KEY, None, base_url=service.url) as client:
        assert client.track(EVENT).events == 1
        with pytest.raises(errors.ConfigurationError, match="needs the secret key, and there is none"):
            client.list_cohorts()
    assert service.count("/api/3/cohorts") == 0


# What is sent


def test_one_event_is_sent_with_the_key_in_the_body(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, OK)
    done = client.track({**EVENT, "insert_id": "i1", "event_properties": {"total": 12.5, "name": "été"}}, min_id_length=1)
    assert done == Ingested(1, 77, datetime(2024, 3, 2, 0, 12, 31, 500_000, UTC))
    (seen,) = service.seen
    assert seen.json() == {
        "api_key": API_KEY,
        "events": [{**EVENT, "insert_id": "i1", "event_properties": {"total": 12.5, "name": "été"}}],
        "options": {"min_id_length": 1},
    }
    assert (seen.method, seen.headers["content-type"]) == ("POST", "application/json")
    assert "authorization" not in seen.headers
    assert "options" not in (client.track(EVENT) and service.seen[-1].json())


def test_all_camel_case_keys_are_accepted_and_no_others(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, OK)
    assert len(SNAKE_CASE) == 14
    event = {camel: {"Key": 1} if camel.endswith("Properties") else f"v-{camel}" for camel in SNAKE_CASE}
    client.track({**event, "insert_id": "i", "productId": "p", "versionName": "x"})
    (sent,) = service.seen[0].json()["events"]
    assert sent == {SNAKE_CASE[camel]: value for camel, value in event.items()} | {"insert_id": "i", "productId": "p", "versionName": "x"}


def test_default_ids_fill_gaps_and_given_ones_win(service: Service) -> None:
    service.on(PATH, OK)
    with AmplitudeClient(API_KEY, None, base_url=service.url, user_id="default", device_id="phone", session_id=17) as client:
        client.track([{"event_type": "a"}, {"event_type": "b", "userId": "given", "device_id": None, "session_id": -1}])
    first, second = service.seen[0].json()["events"]
    assert [first[key] for key in ("user_id", "device_id", "session_id")] == ["default", "phone", 17]
    assert [second[key] for key in ("user_id", "device_id", "session_id")] == ["given", "phone", -1]


def test_an_insert_id_is_given_once_and_kept_over_repetitions(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(PATH, Reply(503), Reply(then="reset-at-once"), OK)
    original = dict(EVENT)
    client.track([original, {**EVENT, "insert_id": "mine"}])
    ids = [[event["insert_id"] for event in seen.json()["events"]] for seen in service.seen]
    assert ids[0] == ids[1] == ids[2]
    assert ids[0][1] == "mine" != ids[0][0]
    assert (original, time.slept) == (EVENT, [1.0, 2.0])


def test_batch_goes_to_its_own_path(client: AmplitudeClient, service: Service) -> None:
    service.on("/batch", OK)
    client.track(EVENT, endpoint=BATCH)
    assert [seen.path for seen in service.seen] == ["/batch"]


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "There is nothing to send"), (["x"], r"This is not an event: an object is expected \(index 0\): str")],
)
def test_what_is_no_event_is_not_sent(client: AmplitudeClient, service: Service, given: list[dict[str, str]], message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        client.track(given)
    assert service.seen == []


@pytest.mark.parametrize("value", [float("nan"), datetime(2024, 3, 2, tzinfo=UTC)])
def test_what_json_does_not_have_is_not_sent(client: AmplitudeClient, service: Service, value: object) -> None:
    with pytest.raises(errors.DataError, match="cannot be written as JSON"):
        client.track({**EVENT, "time": value})
    assert service.seen == []


# What comes back


def test_an_upload_is_sent_once_and_as_it_is(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, Reply(503))
    with pytest.raises(errors.ServerError):
        client.upload([{"userId": "u"}])
    assert [seen.json()["events"] for seen in service.seen] == [[{"userId": "u"}]]


def test_events_at_fault_are_named_with_their_reasons(client: AmplitudeClient, service: Service) -> None:
    body = {
        "code": 400, "error": "Invalid field values on some events", "events_with_invalid_fields": {"time": [3, 4], "odd": "x"},
        "events_with_missing_fields": {"event_type": [4]}, "events_with_invalid_id_lengths": {"user_id": [5]},
    }  # fmt: skip
    service.on(PATH, as_json(400, **body))
    with pytest.raises(errors.InvalidEvents) as caught:
        client.track([EVENT] * 6)
    assert caught.value.reasons == {3: "time is not valid", 4: "event_type is missing, time is not valid", 5: "user_id is too short"}
    assert str(caught.value) == (
        f"Amplitude refused the upload for some of its events (events 6, status 400, request POST {service.url}/2/httpapi): "
        "Invalid field values on some events (event 3: time is not valid; event 4: event_type is missing, time is not valid; "
        "event 5: user_id is too short)"
    )
    assert service.count(PATH) == 1


def test_silenced_events_are_told_from_throttled_ones(client: AmplitudeClient, service: Service) -> None:
    body = {
        "code": 400, "error": "Events silenced for device_id", "eps_threshold": 100, "exceeded_daily_quota_devices": {},
        "silenced_devices": ["d"], "silenced_events": [5], "throttled_devices": {"d2": 100}, "throttled_events": [3],
    }  # fmt: skip
    service.on(PATH, as_json(400, **body))
    with pytest.raises(errors.InvalidEvents) as caught:
        client.upload([EVENT] * 6)
    assert (caught.value.silenced, caught.value.throttled) == ((5,), (3,))
    assert caught.value.reasons == {5: "Events silenced for device_id"}


@pytest.mark.parametrize("words", [f"Invalid API key: {API_KEY}", "invalid api key"])
def test_a_wrong_key_is_a_credentials_error_that_does_not_show_it(client: AmplitudeClient, service: Service, words: str) -> None:
    service.on(PATH, as_json(400, code=400, error=words))
    with pytest.raises(errors.CredentialsError) as caught:
        client.track(EVENT)
    assert API_KEY not in str(caught.value) + str(caught.value.body)


@pytest.mark.parametrize("reply", [as_json(400, code=400, error="Invalid JSON request body"), Reply(400, b"<html>no</html>")])
def test_another_400_is_a_bad_request(client: AmplitudeClient, service: Service, reply: Reply) -> None:
    service.on(PATH, reply)
    with pytest.raises(errors.BadRequest) as caught:
        client.track(EVENT)
    assert not isinstance(caught.value, errors.InvalidEvents)
    assert service.count(PATH) == 1


def test_too_large_says_so(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, as_json(413, code=413, error="Payload too large"))
    with pytest.raises(errors.PayloadTooLarge, match="send fewer events at once"):
        client.track(EVENT)


def test_a_firewall_is_not_asked_again(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, as_json(403, code=403, error="Forbidden"))
    with pytest.raises(errors.FatalError, match="firewall"):
        client.track(EVENT)
    assert service.count(PATH) == 1


@pytest.mark.parametrize(("endpoint", "pause"), [(HTTP_V2, 30.0), (BATCH, 15.0)])
def test_throttled_ids_are_named_and_waited_for(
    client: AmplitudeClient, service: Service, time: FakeTime, endpoint: Endpoint, pause: float
) -> None:
    body = {
        "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": 30,
        "throttled_devices": {"d": 31}, "throttled_users": {"u": 32}, "throttled_events": [3, 4, 7],
    }  # fmt: skip
    service.on(endpoint.path, as_json(429, **body), OK)
    with pytest.raises(errors.EventsThrottled) as caught:
        client.upload([EVENT], endpoint=endpoint)
    found = caught.value
    assert (found.events, found.devices, found.users, found.daily_users) == ((3, 4, 7), {"d": 31}, {"u": 32}, {})
    assert found.delay == pause
    service.on(endpoint.path, as_json(429, **body), OK)
    assert client.track(EVENT, endpoint=endpoint).events == 1
    assert time.slept == [pause]


def test_a_used_up_day_is_not_waited_for(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    body = {"code": 429, "error": "x", "exceeded_daily_quota_devices": {"d": 500001}, "exceeded_daily_quota_users": {"u": 1}}
    service.on("/batch", as_json(429, **body))
    with pytest.raises(errors.EventsThrottled) as caught:
        client.track(EVENT, endpoint=BATCH)
    assert (caught.value.daily_devices, caught.value.daily_users, time.slept) == ({"d": 500001}, {"u": 1}, [])


@pytest.mark.parametrize(
    "trouble",
    [Reply(500), Reply(502), Reply(504), Reply(408), Reply(200, b"<html>"), Reply(200, b"{", announced=9, then="close"), Reply(429)],
)
def test_trouble_is_passed_over(client: AmplitudeClient, service: Service, trouble: Reply) -> None:
    service.on(PATH, trouble, OK)
    assert client.track(EVENT).events == 1
    assert service.count(PATH) == 2


def test_a_broken_connection_may_have_been_an_upload_and_no_connection_was_none(service: Service, time: FakeTime) -> None:
    service.on(PATH, Reply(then="reset-at-once"))
    with AmplitudeClient(API_KEY, SECRET, base_url=service.url, clock=time.clock, retry=steady(attempts=1)) as client:
        with pytest.raises(errors.NetworkError) as caught:
            client.upload([EVENT])
        assert caught.value.maybe_done is True
    service.stop()
    with AmplitudeClient(API_KEY, SECRET, base_url=service.url, clock=time.clock, retry=steady(attempts=1)) as client:
        with pytest.raises(errors.NetworkError) as caught:
            client.upload([EVENT])
        assert caught.value.maybe_done is False


# Requests of many events

EVENTS = st.lists(st.fixed_dictionaries({"event_type": st.text(max_size=40)}), max_size=60)


@given(EVENTS, st.integers(1, 10), st.integers(1100, 1400))
def test_requests_hold_every_event_in_order_within_the_limits(events: list[dict[str, str]], most: int, room: int) -> None:
    parts = list(requests_of(events, BATCH, most_events=most, most_bytes=room))
    assert [event for part in parts for event in part] == events
    assert all(part for part in parts)
    for part in parts:
        assert len(part) <= most
        assert len(part) == 1 or len(encoded({"api_key": API_KEY, "events": part, "options": {"min_id_length": 1}})) <= room
    for one, following in pairwise(parts):
        size = sum(len(encoded(event)) + 1 for event in [*one, following[0]])
        assert len(one) == most or size > room - 1024


def test_the_limits_of_an_endpoint_cannot_be_raised() -> None:
    parts = list(requests_of([{"event_type": "a"}] * 4001, HTTP_V2, most_events=10_000))
    assert [len(part) for part in parts] == [2000, 2000, 1]


def test_an_event_that_cannot_be_written_is_named(client: AmplitudeClient, service: Service) -> None:
    service.on("/2/httpapi", Reply(200, b"{}"))
    events = [{"event_type": "A", "user_id": f"user-{n}"} for n in range(3)]
    with pytest.raises(errors.DataError, match=r"index 3.*\n.*half a surrogate pair"):
        list(client.track_all([*events, {"event_type": "A", "user_id": "user\ud800"}]))
    assert not service.seen


def test_reasons_beyond_the_first_few_are_counted(client: AmplitudeClient, service: Service) -> None:
    refused = {"code": 400, "error": "Invalid field values on some events", "events_with_invalid_fields": {"time": [0, 1, 2, 3, 4]}}
    service.on("/batch", as_json(400, **refused))
    with pytest.raises(errors.InvalidEvents, match=r"event 2: time is not valid; and 2 more\)"):
        client.upload([{}] * 5, endpoint=BATCH)
