"""Which hours a run asks for, as time passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from etl.pipeline.events import committed_hours, import_window, plan_events, run_events
from etl.pipeline.project import Project, open_project
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import running_sandbox
from etl.settings import Clock
from etl.windows import Window
from tests.pipeline.projects import write_jobs

NOON = datetime(2022, 11, 21, 12, 30, tzinfo=UTC)


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOON

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=lambda seconds: None)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def project(tmp_path: Path, time: Time) -> Iterator[Project]:
    sample = SampleSpec(events=500, people=20, hours=24, cohorts=0)
    with running_sandbox(SandboxOptions(sample=sample, clock=time.clock())) as sandbox:
        path = write_jobs(tmp_path, sandbox.url)
        yield open_project(path, time.clock())


def _job(project: Project, **changes: object) -> Project:
    job = project.jobs.jobs["shop-events"].model_copy(update=changes)
    jobs = project.jobs.model_copy(update={"jobs": {**project.jobs.jobs, "shop-events": job}})
    return dataclasses.replace(project, jobs=jobs)


def _hours(project: Project) -> list[int]:
    return sorted(hour.hour for hour in committed_hours(project.lake, "shop"))


def test_the_first_run_reaches_back_and_stops_before_what_cannot_be_exported(project: Project) -> None:
    project = _job(project, backfill_days=90, hours_per_request=24)
    requests_ = plan_events(project, "shop-events")
    assert len(requests_) == 90
    assert str(requests_[0]) == "2022-08-23T12..2022-08-24T12"
    assert str(requests_[-1]) == "2022-11-20T12..2022-11-21T10"


def test_zero_days_start_with_the_current_hour(project: Project, time: Time) -> None:
    project = _job(project, backfill_days=0)
    assert run_events(project, "shop-events").loaded == []
    time.now = NOON + timedelta(hours=3)
    assert run_events(project, "shop-events").loaded == ["amplitude_events/shop/2022-11-21T12"]


def test_later_runs_ask_for_what_is_missing_and_the_two_hours_before(project: Project, time: Time) -> None:
    project = _job(project, backfill_days=0)
    run_events(project, "shop-events")
    time.now = NOON + timedelta(hours=6)
    run_events(project, "shop-events")
    assert _hours(project) == [12, 13, 14, 15]
    assert plan_events(project, "shop-events") == [], "nothing new: nothing is asked for"
    time.now = NOON + timedelta(hours=7)
    (again,) = plan_events(project, "shop-events")
    assert str(again) == "2022-11-21T14..2022-11-21T17"
    report = run_events(project, "shop-events")
    assert (len(report.loaded), len(report.unchanged), report.replaced) == (1, 2, [])


def test_a_late_part_of_an_hour_replaces_it(project: Project, time: Time) -> None:
    project = _job(project, backfill_days=0)
    run_events(project, "shop-events")
    time.now = NOON + timedelta(hours=3)
    run_events(project, "shop-events")
    event = {
        "uuid": "late",
        "event_type": "Late",
        "user_id": "late",
        "server_upload_time": "2022-11-21 12:59:00",
        "event_time": "2022-11-21 12:58:00",
    }
    base_url = project.jobs.authorizations["shop"].base_url
    assert requests.post(f"{base_url}/_sandbox/events", json=[event], timeout=10).ok
    time.now = NOON + timedelta(hours=4)
    assert run_events(project, "shop-events").replaced == ["amplitude_events/shop/2022-11-21T12"]


def test_an_hour_without_data_is_open_first_and_empty_later(project: Project, time: Time) -> None:
    window = Window(datetime(2022, 11, 21, 4, tzinfo=UTC), datetime(2022, 11, 21, 5, tzinfo=UTC))  # the sample has none then
    time.now = datetime(2022, 11, 21, 8, 30, tzinfo=UTC)
    report = run_events(project, "shop-events", window)
    assert (report.open, report.empty) == (["amplitude_events/shop/2022-11-21T04"], [])
    assert _hours(project) == []
    time.now = datetime(2022, 11, 21, 10, 0, tzinfo=UTC)
    assert run_events(project, "shop-events", window).empty == ["amplitude_events/shop/2022-11-21T04"]
    assert plan_events(project, "shop-events", window) == []


def test_a_window_imports_its_missing_hours_and_sets_no_anchor(project: Project, time: Time) -> None:
    time.now = NOON + timedelta(days=1)
    window = Window(datetime(2022, 11, 21, 1, tzinfo=UTC), datetime(2022, 11, 21, 3, tzinfo=UTC))
    run_events(project, "shop-events", window)
    wider = Window(datetime(2022, 11, 21, 0, tzinfo=UTC), datetime(2022, 11, 21, 4, tzinfo=UTC))
    assert [str(one) for one in plan_events(project, "shop-events", wider)] == [
        "2022-11-21T00..2022-11-21T01",
        "2022-11-21T03..2022-11-21T04",
    ]
    assert [str(one) for one in plan_events(project, "shop-events", wider, force=True)] == ["2022-11-21T00..2022-11-21T04"]
    assert not (project.lake.state / "reach").exists()


def test_a_smaller_answer_never_replaces_a_larger_one_unless_forced(project: Project, time: Time, tmp_path: Path) -> None:
    time.now = NOON + timedelta(days=1)
    window = Window(datetime(2022, 11, 21, 1, tzinfo=UTC), datetime(2022, 11, 21, 2, tzinfo=UTC))
    run_events(project, "shop-events", window)
    smaller = SampleSpec(events=50, people=20, hours=24, cohorts=0)
    with running_sandbox(SandboxOptions(sample=smaller, clock=time.clock())) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        other = open_project(tmp_path / "jobs.yaml", time.clock())

        assert import_window(other, "shop-events", window).shrunk == ["amplitude_events/shop/2022-11-21T01"]
        assert import_window(other, "shop-events", window, force=True).replaced == ["amplitude_events/shop/2022-11-21T01"]
