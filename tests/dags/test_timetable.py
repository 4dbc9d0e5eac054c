"""When event jobs run, and for which hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from amplitude_airflow.timetable import DelayedIntervalTimetable


def at(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=UTC))


def timetable(now: str = "2026-03-01T10:30") -> DelayedIntervalTimetable:
    return DelayedIntervalTimetable(timedelta(hours=2), now=lambda: at(now))


def hour(text: str) -> DataInterval:
    start = at(text)
    return DataInterval(start, start.add(hours=1))


NO_CATCHUP = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.mark.parametrize(
    ("now", "interval", "runs"),
    [
        ("2026-03-01T10:30", "2026-03-01T07:00", "2026-03-01T10:00"),
        ("2026-03-01T10:00", "2026-03-01T07:00", "2026-03-01T10:00"),
        ("2026-03-01T09:59", "2026-03-01T06:00", "2026-03-01T09:00"),
        ("2026-03-01T01:00", "2026-02-28T22:00", "2026-03-01T01:00"),
    ],
)
def test_the_first_run_is_that_of_the_newest_hour_that_can_be_exported(now: str, interval: str, runs: str) -> None:
    """An hour H is run from H + 3 h: two hours after it has ended."""
    found = timetable(now).next_dagrun_info(last_automated_data_interval=None, restriction=NO_CATCHUP)
    assert found is not None
    assert (found.data_interval, found.run_after) == (hour(interval), at(runs))


def test_the_next_run_is_the_next_hour() -> None:
    found = timetable().next_dagrun_info(last_automated_data_interval=hour("2026-03-01T07:00"), restriction=NO_CATCHUP)
    assert found is not None
    assert (found.data_interval, found.run_after) == (hour("2026-03-01T08:00"), at("2026-03-01T11:00"))


def test_without_catchup_missed_hours_are_left_to_the_import() -> None:
    found = timetable().next_dagrun_info(last_automated_data_interval=hour("2026-02-20T07:00"), restriction=NO_CATCHUP)
    assert found is not None and found.data_interval == hour("2026-03-01T07:00")


def test_a_backfill_covers_each_hour_of_its_period_and_no_other() -> None:
    """Native backfill asks with catch-up, from an earliest to a latest moment, both included."""
    restriction = TimeRestriction(at("2026-01-05T21:30"), at("2026-01-06T00:00"), catchup=True)
    starts, last = [], None
    while (found := timetable().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)) is not None:
        assert found.data_interval is not None
        last = found.data_interval
        starts.append(str(last.start))
    assert [start[:16] for start in starts] == ["2026-01-05 22:00", "2026-01-05 23:00", "2026-01-06 00:00"]


def test_a_run_by_hand_has_the_newest_hour_that_is_due() -> None:
    assert timetable().infer_manual_data_interval(run_after=at("2026-03-01T12:10")) == hour("2026-03-01T09:00")


def test_it_survives_serialization() -> None:
    again = DelayedIntervalTimetable.deserialize(timetable().serialize())
    assert again.delay == timedelta(hours=2)
    assert again.summary == "hourly + 2 hours"
    assert again.description == "Hourly, 2 hours after the hour has ended (UTC)"
