"""The schedule of events: hour by hour, each run as late as the source needs to have the hour ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime, instance

from etl.settings import utc_now

_HOUR = timedelta(hours=1)


class DelayedIntervalTimetable(Timetable):
    """Every UTC hour is a data interval; its run starts `delay` after the hour has ended.

    With a delay of two hours the hour 01:00 to 02:00 runs at 04:00. Without catch-up only the newest hour that is due
    is run; what older ones lack, the import itself finds in the lake.
    """

    def __init__(self, delay: timedelta, now: Callable[[], datetime] = utc_now) -> None:
        self.delay = delay
        self._now = now
        self.description = f"Hourly, {_text(delay)} after the hour has ended (UTC)"

    @property
    def summary(self) -> str:
        return f"hourly + {_text(self.delay)}"

    def serialize(self) -> dict[str, Any]:
        return {"delay": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DelayedIntervalTimetable:
        return cls(timedelta(seconds=data["delay"]))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The newest hour that is due at `run_after`."""
        return self._newest(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction) -> DagRunInfo | None:
        starts = []
        if last_automated_data_interval is not None:
            starts.append(_floor(last_automated_data_interval.end))
        if restriction.earliest is not None:
            starts.append(_floor(restriction.earliest + _HOUR - timedelta(microseconds=1)))
        if not restriction.catchup:
            starts.append(self._newest(self._now()).start)
        if not starts:
            return None
        start = max(starts)
        if restriction.latest is not None and start > restriction.latest:
            return None
        end = start + _HOUR
        return DagRunInfo(run_after=instance(end + self.delay), data_interval=DataInterval(start, end))

    def _newest(self, moment: datetime) -> DataInterval:
        end = _floor(moment - self.delay)
        return DataInterval(instance(end - _HOUR), end)


def _floor(moment: datetime) -> DateTime:
    return instance(moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0))


def _text(delay: timedelta) -> str:
    hours = delay / _HOUR
    return "1 hour" if hours == 1 else f"{hours:g} hours"
