"""The wait for a cohort: it never blocks, looks before it gives up, and turns every end into an event."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from amplitude_airflow.triggers import CLASS_PATH, CohortTrigger, poll_settings, wait_until_ready

from etl.clients.amplitude import CohortState, CohortStatus, PollPolicy
from etl.errors import CredentialsError, DataError, DeadlineExceeded, RequestExpired, ServerError
from etl.sandbox.server import RunningSandbox

START = datetime(2026, 3, 1, 6, 45, tzinfo=UTC)
READY = CohortStatus(CohortState.READY, "JOB COMPLETED")
RUNNING = CohortStatus(CohortState.RUNNING, "JOB INPROGRESS")


class Wait:
    """A clock that sleeping moves, and answers in order; the last one is repeated."""

    def __init__(self, *answers: CohortStatus | Exception) -> None:
        self._answers: Iterator[CohortStatus | Exception] = iter(answers)
        self._last: CohortStatus | Exception = RUNNING
        self.slept: list[float] = []
        self.asked = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=sum(self.slept))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def status(self) -> CohortStatus:
        self.asked += 1
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return self._last

    def until(self, seconds: float) -> None:
        poll = PollPolicy(before_first=10, first=5, growth=2, longest=30, odd=3)
        asyncio.run(wait_until_ready(self.status, START + timedelta(seconds=seconds), poll, now=self.now, sleep=self.sleep))


def test_the_first_look_is_after_ten_seconds_and_the_pauses_grow() -> None:
    wait = Wait(RUNNING, RUNNING, RUNNING, RUNNING, RUNNING, READY)
    wait.until(1800)
    assert wait.slept == [10, 5, 10, 20, 30, 30]


def test_the_pause_that_the_server_asks_for_is_kept() -> None:
    wait = Wait(CohortStatus(CohortState.RUNNING, "polled too fast", 25.0), READY)
    wait.until(1800)
    assert wait.slept == [10, 25]


def test_the_status_is_asked_for_before_the_deadline_is_looked_at() -> None:
    """A triggerer that was away longer than the deadline still finds what is ready."""
    wait = Wait(READY)
    wait.until(-3600)
    assert wait.asked == 1


def test_after_the_deadline_there_is_one_more_look() -> None:
    wait = Wait(RUNNING)
    with pytest.raises(DeadlineExceeded) as caught:
        wait.until(20)
    assert wait.slept == [10, 5, 5]
    assert wait.asked == 3
    assert str(caught.value) == (
        "the cohort was not ready by 2026-03-01 06:45 UTC: JOB INPROGRESS\n"
        "  Next: the next try adopts the same request; no other is counted"
    )


def test_three_odd_answers_in_a_row_are_passed_over_and_a_fourth_is_not() -> None:
    odd = ServerError("the server answered 503")
    Wait(odd, odd, odd, RUNNING, odd, odd, odd, READY).until(1800)
    with pytest.raises(ServerError):
        Wait(odd, odd, odd, odd, READY).until(1800)


def test_a_failed_computation_ends_the_wait() -> None:
    with pytest.raises(DataError, match="Amplitude could not compute the cohort: JOB FAILED"):
        Wait(CohortStatus(CohortState.FAILED, "JOB FAILED")).until(1800)


@pytest.mark.parametrize("error", [CredentialsError("refused"), RequestExpired("gone")])
def test_wrong_keys_and_an_expired_request_end_the_wait_at_once(error: Exception) -> None:
    wait = Wait(error)
    with pytest.raises(type(error)):
        wait.until(1800)
    assert wait.asked == 1


def test_a_slow_answer_does_not_hold_up_the_event_loop() -> None:
    """Others run on while a status request hangs: that is what `to_thread` is for."""
    answer = threading.Event()

    def slow() -> CohortStatus:
        assert answer.wait(30)
        return READY

    async def both() -> None:
        poll = PollPolicy(before_first=0)
        waiting = asyncio.create_task(wait_until_ready(lambda: asyncio.to_thread(slow), START + timedelta(days=9999), poll))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        answer.set()
        await waiting

    asyncio.run(both())


def run(trigger: CohortTrigger) -> Any:
    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(events())
    return payload


def trigger(jobs_file: Path, request_id: str, **poll: float) -> CohortTrigger:
    deadline = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    settings = poll_settings(0.0) | {"first": 0.01, "longest": 0.01} | poll
    return CohortTrigger(str(jobs_file), "shop-cohorts", request_id, deadline, settings)


def ask(sandbox: RunningSandbox) -> str:
    from etl.clients.amplitude import AmplitudeClient

    with AmplitudeClient("key", "secret", base_url=sandbox.url) as client:
        return client.request_cohort(client.list_cohorts()[0].id, props=True)


def test_it_fires_when_the_file_is_ready(jobs_file: Path, sandbox: RunningSandbox) -> None:
    request_id = ask(sandbox)
    assert run(trigger(jobs_file, request_id)) == {"state": "ready", "request_id": request_id}


def test_an_unknown_request_is_told_as_expired(jobs_file: Path) -> None:
    found = run(trigger(jobs_file, "r9999nobody"))
    assert found["state"] == "expired"
    assert "Amplitude does not know this cohort request" in found["text"]


def test_a_wrong_key_is_told_with_the_remedy(write_jobs: Callable[..., Path], sandbox: RunningSandbox) -> None:
    found = run(trigger(write_jobs(sandbox.url, key="wrong"), "r0001"))
    assert found["state"] == "fail"
    assert "Amplitude refused the credentials" in found["text"]
    assert "check the API key, the secret key and the region" in found["text"]
    assert found["text"].endswith("Job: shop-cohorts")


def test_a_jobs_file_that_is_gone_is_an_event_too(tmp_path: Path) -> None:
    found = run(trigger(tmp_path / "nowhere.yaml", "r0001"))
    assert found["state"] == "fail"
    assert "cannot read the jobs file" in found["text"]


def test_it_is_stored_as_plain_json_without_keys(jobs_file: Path) -> None:
    path, arguments = trigger(jobs_file, "r0001").serialize()
    assert path == CLASS_PATH
    assert CohortTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)
    assert "secret" not in json.dumps(arguments).replace(str(jobs_file), "")
