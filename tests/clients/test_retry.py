from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from etl.clients.retry import RetryPolicy, retry, retry_after
from etl.errors import BadRequest, ServerError, Throttled, TransientError
from tests.clients.service import FakeTime, steady

NOON = datetime(2024, 3, 2, 12, tzinfo=UTC)


class Failing:
    """Raises the given errors in turn, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_waits_double_and_the_result_comes_through(time: FakeTime) -> None:
    call = Failing(*(ServerError("down") for _ in range(4)))
    assert retry(call, policy=steady(), clock=time.clock) == "done"
    assert time.slept == [1.0, 2.0, 4.0, 8.0]


def test_attempts_are_bounded_and_told(time: FakeTime) -> None:
    call = Failing(*(ServerError("down") for _ in range(9)))
    with pytest.raises(ServerError) as caught:
        retry(call, policy=steady(attempts=3), clock=time.clock)
    assert str(caught.value) == "down (attempts 3)"
    assert call.calls == 3


def test_a_wait_beyond_the_total_is_not_begun(time: FakeTime) -> None:
    call = Failing(*(ServerError("down") for _ in range(9)))
    with pytest.raises(ServerError):
        retry(call, policy=steady(attempts=9, total=timedelta(seconds=5)), clock=time.clock)
    assert time.slept == [1.0, 2.0]


def test_time_spent_in_the_calls_counts(time: FakeTime) -> None:
    def slow() -> str:
        time.moment += timedelta(seconds=40)
        raise ServerError("down")

    with pytest.raises(ServerError):
        retry(slow, policy=steady(total=timedelta(minutes=1)), clock=time.clock)
    assert time.slept == [1.0]


def test_a_longer_request_than_the_budget_keeps_its_delay(time: FakeTime) -> None:
    with pytest.raises(Throttled) as caught:
        retry(Failing(Throttled("slow down", delay=7200)), policy=steady(), clock=time.clock)
    assert (caught.value.delay, time.slept) == (7200, [])


def test_the_longest_wait_is_bounded_and_jitter_takes_at_most_half() -> None:
    assert steady().wait(50, None) == 60.0
    assert RetryPolicy(jitter=lambda: 1.0).wait(3, None) == 2.0
    assert RetryPolicy(jitter=lambda: 1.0).wait(3, 9.0) == 9.0
    assert 2.0 <= RetryPolicy().wait(3, None) <= 4.0


def test_only_transient_errors_are_repeated(time: FakeTime) -> None:
    call = Failing(BadRequest("no"))
    with pytest.raises(BadRequest):
        retry(call, policy=steady(), clock=time.clock)
    assert call.calls == 1


def test_a_transient_error_that_is_not_allowed_is_raised(time: FakeTime) -> None:
    call = Failing(ServerError("down"))
    with pytest.raises(TransientError):
        retry(call, policy=steady(), clock=time.clock, allowed=lambda error: False)
    assert call.calls == 1


def test_repetitions_are_logged_as_warnings(time: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    error = ServerError("down", where={"request": "GET /x"})
    error.status = 503
    retry(Failing(error), policy=steady(), clock=time.clock)
    assert caplog.record_tuples == [
        (
            "etl.clients",
            logging.WARNING,
            'retry attempt=1 of=5 wait=1.0 error=ServerError status=503 request="GET /x" what="down"',
        )
    ]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        (" 2.5 ", 2.5),
        ("Sat, 02 Mar 2024 12:01:30 GMT", 90.0),
        ("Sat, 02 Mar 2024 12:01:30 -0000", 90.0),
        ("Sat, 02 Mar 2024 11:00:00 GMT", 0.0),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOON) == seconds
