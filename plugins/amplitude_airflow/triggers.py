"""Waits in the triggerer until Amplitude has made a cohort's file, without ever blocking other triggers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from amplitude_airflow.errors import TryAgain, airflow_error
from amplitude_airflow.hooks import afind_keys
from etl.clients.amplitude import CohortState, CohortStatus, PollPolicy
from etl.connections import client_of
from etl.errors import DataError, DeadlineExceeded, ProfilemillError, RequestExpired, TransientError
from etl.jobs import load_jobs
from etl.settings import Clock, utc_now

if TYPE_CHECKING:
    from etl.clients.amplitude import AmplitudeClient

CLASS_PATH = "amplitude_airflow.triggers.CohortTrigger"


class CohortTrigger(BaseTrigger):
    """Fires once: the state `ready` with the request's id, or `expired` (ask anew), `again`, `fail` with what to show.

    `deadline` is wall time as ISO text, because the operator that sets it runs in another process. The keys are read
    here, so that none is ever stored with the trigger.
    """

    def __init__(self, jobs_file: str, job: str, request_id: str, deadline: str, poll: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.jobs_file = jobs_file
        self.job = job
        self.request_id = request_id
        self.deadline = deadline
        self.poll = poll

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return CLASS_PATH, {
            "jobs_file": self.jobs_file,
            "job": self.job,
            "request_id": self.request_id,
            "deadline": self.deadline,
            "poll": self.poll,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call]

    async def _outcome(self) -> dict[str, Any]:
        # A trigger that raises fails its task without a retry and without its text: everything becomes an event.
        try:
            client = await self._client()
            try:
                await wait_until_ready(
                    lambda: asyncio.to_thread(client.cohort_status, self.request_id),
                    datetime.fromisoformat(self.deadline),
                    PollPolicy(**self.poll),
                    on_poll=lambda status: self.log.info("request %s: %s", self.request_id, status.text),
                )
            finally:
                await asyncio.to_thread(client.close)
        except ProfilemillError as error:
            return outcome_of(error, self.job)
        except Exception as error:
            self.log.exception("the wait broke off")
            return {"state": "again", "text": f"the wait for the cohort broke off: {error!r}", "delay": None}
        return {"state": "ready", "request_id": self.request_id}

    async def _client(self) -> AmplitudeClient:
        jobs = await asyncio.to_thread(load_jobs, Path(self.jobs_file))
        keys = await afind_keys(jobs.imports[self.job].authorization, jobs)
        return client_of(keys, Clock())


async def wait_until_ready(
    status: Callable[[], Awaitable[CohortStatus]],
    deadline: datetime,
    poll: PollPolicy,
    *,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_poll: Callable[[CohortStatus], None] = lambda status: None,
) -> None:
    """Returns once the status is ready. The status is asked for before the deadline is looked at, each time.

    Up to `poll.odd` failed questions in a row are passed over. Raises DeadlineExceeded, RequestExpired, and DataError
    when Amplitude says that the computation failed.
    """
    pause, odd, last = poll.first, 0, "no answer"
    await sleep(poll.before_first)
    while True:
        asked: float | None = None
        try:
            found = await status()
        except RequestExpired:
            raise
        except (TransientError, DataError) as error:
            odd += 1
            if odd > poll.odd:
                raise
            asked, last = getattr(error, "delay", None), error.what
        else:
            odd, last, asked = 0, found.text, found.delay
            on_poll(found)
            if found.state is CohortState.READY:
                return
            if found.state is CohortState.FAILED:
                raise DataError(
                    "Amplitude could not compute the cohort",
                    value=found.text,
                    next_step="ask for it again later; without properties (props: false) if it keeps failing",
                )
        left = (deadline - now()).total_seconds()
        if left <= 0:
            raise DeadlineExceeded(
                f"the cohort was not ready by {deadline:%Y-%m-%d %H:%M} UTC",
                value=last or None,
                next_step="the next try adopts the same request; no other is counted",
            )
        await sleep(min(max(pause, asked or 0.0), left))
        pause = min(pause * poll.growth, poll.longest)


def outcome_of(error: ProfilemillError, job: str) -> dict[str, Any]:
    """An error as the event that the operator understands."""
    found = airflow_error(error, job=job)
    if isinstance(error, RequestExpired):
        return {"state": "expired", "text": str(found), "delay": None}
    if isinstance(found, TryAgain):
        return {"state": "again", "text": str(found), "delay": found.delay}
    return {"state": "fail", "text": str(found)}


def poll_settings(before_first: float) -> dict[str, Any]:
    """The usual pauses with another first one, as a trigger takes them."""
    return asdict(PollPolicy(before_first=before_first))
