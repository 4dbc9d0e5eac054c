"""Exports that Amplitude wants in smaller windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from etl.clients.amplitude import AmplitudeClient
from etl.errors import WindowTooLarge
from etl.sources.amplitude_events import export
from etl.windows import Window

START = datetime(2024, 3, 2, tzinfo=UTC)
HEAVY = START + timedelta(hours=2)


class _Service:
    def export(self, first: datetime, last: datetime, target: Path, **_: Any) -> None:
        if first <= HEAVY <= last:
            raise WindowTooLarge("too large")
        target.touch()


def test_an_hour_that_is_too_large_does_not_hold_up_the_others(tmp_path: Path) -> None:
    window = Window(START, START + timedelta(hours=6))
    found = list(export(cast(AmplitudeClient, _Service()), window, tmp_path))
    assert [one.window.start for one in found if one.refused] == [HEAVY]
    assert [hour for one in found for hour in one.window.hours] == window.hours
    assert all(one.archive for one in found if not one.refused)
