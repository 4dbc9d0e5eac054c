from __future__ import annotations

import traceback
from datetime import UTC, datetime

import pytest

from etl import errors
from etl.clients.amplitude import (
    HOSTS,
    AmplitudeClient,
    Cohort,
    CohortUsage,
)
from etl.settings import Secret
from tests.clients.service import API_KEY, SECRET, FakeTime, Reply, Service, as_json, fault

CSV = b'"amplitude_id","user_id"\n"356896327775",""\n'
LIST = "/api/3/cohorts"
REQUEST = "/api/5/cohorts/request/c1"
STATUS = "/api/5/cohorts/request-status/r1"
FILE = "/api/5/cohorts/request/r1/file"
ACCEPTED = as_json(202, request_id="r1", cohort_id="c1")
RUNNING = as_json(202, async_status="JOB INPROGRESS", request_id="r1")
READY = as_json(200, async_status="JOB COMPLETED", request_id="r1")
LOST = Reply(then="reset-at-once")


# The client itself


@pytest.mark.parametrize(("region", "host"), [("us", "https://amplitude.com"), ("eu", "https://analytics.eu.amplitude.com")])
def test_each_region_has_its_host(region: str, host: str) -> None:
    assert AmplitudeClient("k", "s", region=region).base_url == HOSTS[region] == host  # type: ignore[arg-type]


def test_an_unknown_region_is_a_configuration_error() -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        AmplitudeClient("k", SECRET, region="asia")  # type: ignore[arg-type]
    assert str(caught.value) == "Unknown region: asia\n  Next: write one of: us, eu"


@pytest.mark.parametrize(("key", "secret"), [("", "s"), ("k", " "), ("\n", "s")])
def test_empty_keys_are_refused(key: str, secret: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="The API key or the secret key is empty"):
        AmplitudeClient(key, secret)


def test_the_representation_is_masked() -> None:
    client = AmplitudeClient(API_KEY, Secret(SECRET), base_url="https://user:pw@proxy.example/amplitude/")
    assert repr(client) == ("AmplitudeClient(HttpClient('https://****@proxy.example/amplitude'), api_key='****', secret_key='****')")


def test_no_configuration_error_holds_the_secret_in_a_frame() -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        AmplitudeClient(API_KEY, SECRET, base_url="nowhere")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert SECRET not in str([frame.locals for frame in frames if "clients/amplitude" in frame.filename])


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_region(client: AmplitudeClient, service: Service, status: int) -> None:
    service.on(LIST, fault(status, "Invalid API Key"))
    with pytest.raises(errors.CredentialsError) as caught:
        client.list_cohorts()
    assert str(caught.value) == (
        f"Amplitude refused the credentials (status {status}, request GET {service.url}/api/3/cohorts): "
        "Invalid API Key\n  Next: check the API key, the secret key and the region (that of base_url): "
        "right keys in the wrong region look just like wrong keys"
    )
    assert service.count(LIST) == 1


# The list


def test_the_list_tolerates_nulls_other_types_and_unknown_keys(client: AmplitudeClient, service: Service) -> None:
    full = {
        "id": "a1", "name": "Weekly", "size": 2, "lastComputed": 1700003600, "archived": True, "published": False,
        "description": "d", "definition": {"countGroup": "User"}, "brand_new": [None],
    }  # fmt: skip
    odd = {"id": 7, "name": None, "size": "12", "lastComputed": None, "archived": None, "description": None}
    service.on(LIST, as_json(cohorts=[full, odd, None, {"name": "no id"}], extra=1))
    first, second = client.list_cohorts()
    assert first == Cohort("a1", "Weekly", 2, 1700003600, True, False, "d")
    assert first.raw == full
    assert second == Cohort("7", "7", 12, None, False, True, "")


@pytest.mark.parametrize(
    "trouble",
    [fault(429, "slow"), Reply(500), Reply(503, b"<html>"), LOST, Reply(200, b"<html>"), as_json(cohorts=None),
     Reply(200, b"{", announced=9, then="close")],
)  # fmt: skip
def test_the_list_is_asked_for_again(client: AmplitudeClient, service: Service, time: FakeTime, trouble: Reply) -> None:
    service.on(LIST, trouble, as_json(cohorts=[]))
    assert client.list_cohorts() == []
    assert time.slept == [1.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_the_list_is_not_asked_for_again(client: AmplitudeClient, service: Service, status: int) -> None:
    service.on(LIST, Reply(status))
    with pytest.raises(errors.ProfilemillError):
        client.list_cohorts()
    assert service.count(LIST) == 1


@pytest.mark.parametrize("header", ["17", "Sat, 02 Mar 2024 12:00:17 GMT"])
def test_retry_after_is_honoured(client: AmplitudeClient, service: Service, time: FakeTime, header: str) -> None:
    service.on(LIST, fault(429, "slow", {"Retry-After": header}), as_json(cohorts=[]))
    client.list_cohorts()
    assert time.slept == [17.0]


def test_a_long_throttling_is_left_to_the_caller(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(LIST, fault(429, "slow", {"Retry-After": "7200"}))
    with pytest.raises(errors.Throttled) as caught:
        client.list_cohorts()
    assert (caught.value.delay, time.slept) == (7200.0, [])


# The usage


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (
            as_json(rest_download={"limit": 500, "usage": 12, "resets_at": "2024-04-01T00:00:00Z"}),
            CohortUsage(12, 500, datetime(2024, 4, 1, tzinfo=UTC)),
        ),
        (as_json(limit=500, count=12), CohortUsage(12, 500)),
        (as_json(rest_download={"limit": 500, "usage": 0, "resets_at": "soon"}), CohortUsage(0, 500)),
        (as_json(other=1), None),
        (as_json(limit=True), None),
        (Reply(403), None),
        (Reply(404), None),
        (Reply(500), None),
        (Reply(200, b"<html>"), None),
    ],
)
def test_usage_is_told_if_the_server_does(client: AmplitudeClient, service: Service, reply: Reply, usage: CohortUsage | None) -> None:
    service.on("/api/3/cohorts/usage", reply)
    assert client.cohort_usage() == usage
    assert len(service.seen) == 1
