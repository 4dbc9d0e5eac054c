"""Events: which hours to ask for, and one export as files on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from etl.clients.amplitude import AmplitudeClient
from etl.errors import NoData, WindowTooLarge
from etl.windows import HOUR, Window, floor_hour

# Hour H is loaded from H + 1 h and can be exported two hours later (amplitude-api.md 3.1).
EXPORTABLE_AFTER = timedelta(hours=3)
# An hour without data answers 404, and so does one asked for too early; from here on it is taken for empty.
EMPTY_AFTER = timedelta(hours=6)
REREAD_HOURS = 2


@dataclass(frozen=True)
class Reach:
    """What the first run of a job without a given window fixes: its moment, and the first hour that it wants."""

    anchor: datetime
    first_hour: datetime


@dataclass(frozen=True)
class Export:
    """The answer for a window: an archive, or None for no data in any of its hours, or, for a single hour, why it can
    not be had (`refused`)."""

    window: Window
    archive: Path | None
    refused: WindowTooLarge | None = None


def reach_of(now: datetime, backfill_days: int) -> Reach:
    """The reach of a first run at `now`; with 0 days it starts with the hour that `now` lies in."""
    hour = floor_hour(now)
    return Reach(hour, hour - timedelta(days=backfill_days))


def last_exportable(now: datetime) -> datetime:
    """The newest hour that can be exported at `now`."""
    return floor_hour(now) - EXPORTABLE_AFTER


def wanted_hours(now: datetime, reach: Reach, committed: set[datetime]) -> list[datetime]:
    """The hours a run without a window asks for: those missing, and when there is a new one, the two before it again."""
    last = last_exportable(now)
    if last < reach.first_hour:
        return []
    missing = [hour for hour in Window(reach.first_hour, last + HOUR).hours if hour not in committed]
    if last in missing:
        missing += [hour for n in range(1, REREAD_HOURS + 1) if (hour := last - HOUR * n) in committed]
    return sorted(missing)


def hours_of_window(now: datetime, window: Window, committed: set[datetime], *, force: bool) -> tuple[list[datetime], list[datetime]]:
    """The hours of a given window to ask for (missing ones, or all with `force`), and those that are too recent."""
    last = last_exportable(now)
    wanted = [hour for hour in window.hours if force or hour not in committed]
    return [hour for hour in wanted if hour <= last], [hour for hour in wanted if hour > last]


def export(client: AmplitudeClient, window: Window, folder: Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Export]:
    """The window's archives, oldest first: one, or several where Amplitude wants fewer hours at a time.

    A window of one hour that is still too large comes with what Amplitude said, and the others go on.
    """
    target = folder / f"{window.start:%Y%m%dT%H}-{window.last_hour:%Y%m%dT%H}.zip"
    try:
        client.export(window.start, window.last_hour, target, on_bytes=on_bytes)
    except NoData:
        yield Export(window, None)
    except WindowTooLarge as error:
        if len(window.hours) == 1:
            error.next_step = (
                "one hour is too large for the Export API, or the request is at fault: see the text; "
                "Amplitude's S3 export has no such limit"
            )
            error.at(window=window)
            yield Export(window, None, error)
            return
        for half in window.halves():
            yield from export(client, half, folder, on_bytes)
    else:
        yield Export(window, target)
