from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from etl import errors
from etl.clients.amplitude import (
    AmplitudeClient,
    CohortState,
    CohortStatus,
    PollPolicy,
)
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


# The request


def test_a_request_names_its_properties(client: AmplitudeClient, service: Service) -> None:
    service.on(REQUEST, ACCEPTED)
    assert client.request_cohort("c1", props=True, property_keys=["plan", "gp x"], last_computed=1700) == "r1"
    assert service.seen[0].query == [
        ("props", "1"),
        ("propKeys", "plan"),
        ("propKeys", "gp x"),
        ("lastComputed", "1700"),
    ]
    client.request_cohort("c1", props=False, property_keys=["plan"])
    assert service.seen[1].query == [("props", "0")]


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_cohort(client: AmplitudeClient, service: Service, status: int) -> None:
    service.on(REQUEST, fault(status, "no such cohort"))
    with pytest.raises(errors.NotFound) as caught:
        client.request_cohort("c1", props=False)
    assert str(caught.value) == (
        f"Amplitude does not give this cohort (cohort c1, status {status}, request GET {service.url}{REQUEST}"
        "?props=0): no such cohort\n"
        "  Next: it is unknown, archived or not published: compare its id with the list of cohorts"
    )
    assert service.count(REQUEST) == 1


@pytest.mark.parametrize("trouble", [Reply(500), Reply(502), fault(429, "Exceeded rate limit"), LOST])
def test_a_request_that_was_surely_not_counted_is_repeated(client: AmplitudeClient, service: Service, trouble: Reply) -> None:
    service.on(REQUEST, trouble, ACCEPTED)
    assert client.request_cohort("c1", props=False) == "r1"
    assert service.count(REQUEST) == 2


@pytest.mark.parametrize("answer", [Reply(202, b"{", announced=50, then="close"), Reply(202, b"<html>")])
def test_an_accepted_request_is_never_repeated(client: AmplitudeClient, service: Service, answer: Reply) -> None:
    service.on(REQUEST, answer)
    with pytest.raises(errors.NetworkError, match="Amplitude accepted the request") as caught:
        client.request_cohort("c1", props=False)
    assert caught.value.maybe_done
    assert service.count(REQUEST) == 1


def test_an_acceptance_without_an_id_is_not_repeated(client: AmplitudeClient, service: Service) -> None:
    service.on(REQUEST, as_json(202, request_id=None))
    with pytest.raises(errors.ServerError, match="gave no request id"):
        client.request_cohort("c1", props=False)
    assert service.count(REQUEST) == 1


def test_a_request_without_an_answer_in_time_is_not_repeated(service: Service, time: FakeTime) -> None:
    service.on(REQUEST, Reply(then="silence"))
    with (
        AmplitudeClient(API_KEY, SECRET, base_url=service.url, clock=time.clock, read_timeout=0.05) as client,
        pytest.raises(errors.NetworkError) as caught,
    ):
        client.request_cohort("c1", props=False)
    assert caught.value.maybe_done
    assert service.count(REQUEST) == 1


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (datetime(2024, 3, 2, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)),
        (datetime(2024, 12, 31, 23, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("text", ["Monthly limit of 500 reached", "over quota"])
def test_the_monthly_quota_stops_at_once(
    client: AmplitudeClient, service: Service, time: FakeTime, now: datetime, until: datetime, text: str
) -> None:
    time.moment = now
    service.on(REQUEST, fault(429, text, {"Retry-After": "1"}))
    with pytest.raises(errors.QuotaExhausted) as caught:
        client.request_cohort("c1", props=False)
    assert caught.value.until == until
    assert pickle.loads(pickle.dumps(caught.value)).until == until
    assert service.count(REQUEST) == 1


@pytest.mark.parametrize("text", ["quota of 60 per 10 minutes", "Exceeded concurrent limit with query of cost 4"])
def test_a_short_limit_is_not_the_monthly_one(client: AmplitudeClient, service: Service, text: str) -> None:
    service.on(REQUEST, fault(429, text))
    with pytest.raises(errors.Throttled):
        client.request_cohort("c1", props=False)
    assert service.count(REQUEST) == 5


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_refused(client: AmplitudeClient, service: Service, bad: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="This is not the id of a cohort"):
        client.request_cohort(bad, props=False)
    service.on("/api/5/cohorts/request/a%2Fb%3Fc", ACCEPTED)
    assert client.request_cohort("a/b?c", props=False) == "r1"


# The status


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (READY, CohortStatus(CohortState.READY, "JOB COMPLETED")),
        (as_json(200), CohortStatus(CohortState.READY, "")),
        (RUNNING, CohortStatus(CohortState.RUNNING, "JOB INPROGRESS")),
        (as_json(202), CohortStatus(CohortState.RUNNING, "")),
        (as_json(200, async_status="JOB INPROGRESS"), CohortStatus(CohortState.RUNNING, "JOB INPROGRESS")),
        (as_json(200, async_status="JOB FAILED"), CohortStatus(CohortState.FAILED, "JOB FAILED")),
        (fault(429, "slow"), CohortStatus(CohortState.RUNNING, "polled too fast", None)),
        (fault(429, "slow", {"Retry-After": "9"}), CohortStatus(CohortState.RUNNING, "polled too fast", 9.0)),
    ],
)
def test_what_a_status_says(client: AmplitudeClient, service: Service, time: FakeTime, reply: Reply, status: CohortStatus) -> None:
    service.on(STATUS, reply)
    assert client.cohort_status("r1") == status
    assert (service.count(STATUS), time.slept) == (1, [])


@pytest.mark.parametrize(
    ("status", "error", "calls"),
    [
        (404, errors.RequestExpired, 1),
        (410, errors.RequestExpired, 1),
        (400, errors.BadRequest, 1),
        (403, errors.CredentialsError, 1),
        (503, errors.ServerError, 3),
    ],
)
def test_other_statuses_of_a_status(client: AmplitudeClient, service: Service, status: int, error: type[Exception], calls: int) -> None:
    service.on(STATUS, Reply(status))
    with pytest.raises(error):
        client.cohort_status("r1")
    assert service.count(STATUS) == calls


def test_waiting_grows_and_ends_when_ready(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(STATUS, *[RUNNING] * 7, READY)
    polls: list[CohortStatus] = []
    client.wait_for_cohort("r1", on_poll=polls.append)
    assert time.slept == [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0, 30.0]
    assert [status.state for status in polls] == ["running"] * 7 + ["ready"]


def test_the_delay_asked_for_by_a_429_is_kept(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(STATUS, *[fault(429, "slow", {"Retry-After": "40"})] * 6, READY)
    client.wait_for_cohort("r1")
    assert time.slept == [40.0] * 6


def test_a_first_wait_can_be_given(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(STATUS, READY)
    client.wait_for_cohort("r1", poll=PollPolicy(before_first=10))
    assert time.slept == [10]


def test_a_long_delay_asked_for_by_a_503_does_not_outlast_the_deadline(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(STATUS, RUNNING, Reply(503, headers={"Retry-After": "1200"}))
    with pytest.raises(errors.DeadlineExceeded):
        client.wait_for_cohort("r1", deadline=timedelta(minutes=2))
    assert time.slept == [5.0, 115.0]


def test_the_deadline(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(STATUS, RUNNING)
    with pytest.raises(errors.DeadlineExceeded) as caught:
        client.wait_for_cohort("r1", deadline=timedelta(seconds=8))
    assert time.slept == [5.0, 3.0]
    assert str(caught.value) == (
        "The cohort was not ready within 0:00:08 (request r1): JOB INPROGRESS\n"
        "  Next: run again: the same request is adopted, no other is counted"
    )


def test_a_job_that_is_ready_at_the_deadline_counts(client: AmplitudeClient, service: Service) -> None:
    service.on(STATUS, RUNNING, READY)
    client.wait_for_cohort("r1", deadline=timedelta(seconds=5))
    service.on(STATUS, READY)
    client.wait_for_cohort("r1", deadline=timedelta(0))


def test_a_failed_job_says_so(client: AmplitudeClient, service: Service) -> None:
    service.on(STATUS, RUNNING, as_json(200, async_status="JOB FAILED"))
    with pytest.raises(errors.DataError, match="Amplitude could not compute the cohort"):
        client.wait_for_cohort("r1")


def test_three_odd_statuses_in_a_row_are_passed_over(client: AmplitudeClient, service: Service) -> None:
    odd = [Reply(400), Reply(404), Reply(418)]
    service.on(STATUS, *odd, RUNNING, *odd, READY)
    client.wait_for_cohort("r1")
    service.on(STATUS, *odd, Reply(418), READY)
    with pytest.raises(errors.BadRequest):
        client.wait_for_cohort("r1")


def test_refused_credentials_are_never_passed_over(client: AmplitudeClient, service: Service) -> None:
    service.on(STATUS, Reply(403), READY)
    with pytest.raises(errors.CredentialsError):
        client.wait_for_cohort("r1")
