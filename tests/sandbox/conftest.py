"""Sandboxes over real HTTP on loopback, with a clock that only moves when told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.settings import Clock

SMALL = SampleSpec(people=80, events=600)


@dataclass
class Hand:
    """A clock moved by hand; sleeping moves it and is remembered."""

    time: datetime = datetime(2022, 11, 23, 12, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)

    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep)


@dataclass
class Browser:
    """Asks a running sandbox with the right credentials unless told otherwise; never follows redirects by itself."""

    running: RunningSandbox
    session: requests.Session

    def get(self, path: str, auth: tuple[str, str] | None = ("key", "secret"), **query: Any) -> requests.Response:
        url = path if path.startswith("http") else self.running.url + path
        return self.session.get(url, params=query, auth=auth, allow_redirects=False, timeout=20)

    def post(self, path: str, body: object) -> requests.Response:
        return self.session.post(self.running.url + path, json=body, timeout=20)

    def requested(self, cohort_id: str, **query: Any) -> str:
        answer = self.get(f"/api/5/cohorts/request/{cohort_id}", **query)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["request_id"])

    def ready(self, cohort_id: str, **query: Any) -> str:
        request_id = self.requested(cohort_id, **query)
        while self.get(f"/api/5/cohorts/request-status/{request_id}").status_code == 202:
            pass
        return request_id

    def cohorts(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.get("/api/3/cohorts").json()["cohorts"]}


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def small() -> SampleSpec:
    return SMALL


@pytest.fixture
def browse(hand: Hand) -> Iterator[Callable[..., Browser]]:
    """`browse("export:429", polls_before_ready=2)` starts a sandbox with those faults and options."""
    with contextlib.ExitStack() as stack:

        def start(*faults: str, **options: Any) -> Browser:
            plain = SandboxOptions(sample=SMALL, faults=parse_faults(faults), clock=hand.clock())
            running = stack.enter_context(running_sandbox(replace(plain, **options)))
            session = stack.enter_context(requests.Session())
            session.trust_env = False
            return Browser(running, session)

        yield start
