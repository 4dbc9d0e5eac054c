"""Windows of UTC hours: half-open, aligned, split into requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from etl.errors import ConfigurationError
from etl.records import hour_text

HOUR = timedelta(hours=1)
_HOUR_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(?::?00)?(?::?00)?(?:Z|\+00:00)?)?")


@dataclass(frozen=True)
class Window:
    """The UTC hours from `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ConfigurationError("the window holds no hour", value=str(self), next_step="--to is exclusive: give an hour after --from")

    @property
    def hours(self) -> list[datetime]:
        return [self.start + HOUR * n for n in range(int((self.end - self.start) / HOUR))]

    @property
    def last_hour(self) -> datetime:
        """The last hour inside, as APIs with inclusive ends want it."""
        return self.end - HOUR

    def halves(self) -> tuple[Window, Window]:
        """Two windows that make up this one. Only for windows of two hours or more."""
        middle = self.start + HOUR * (len(self.hours) // 2)
        return Window(self.start, middle), Window(middle, self.end)

    def __str__(self) -> str:
        return f"{hour_text(self.start)}..{hour_text(self.end)}"


def floor_hour(moment: datetime) -> datetime:
    """The start of the UTC hour that `moment` lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def parse_hour(text: str) -> datetime:
    """`2024-03-02T00` or `2024-03-02` as an aware UTC hour. Raises ConfigurationError."""
    found = _HOUR_FORM.fullmatch(text.strip())
    try:
        if found:
            return datetime.strptime(f"{found.group(1)}T{found.group(2) or '00'}+0000", "%Y-%m-%dT%H%z")
    except ValueError:
        pass
    raise ConfigurationError("this is not a UTC hour", value=text, next_step="write it as 2024-03-02T00")


def requests_for(hours: Iterable[datetime], longest: int) -> list[Window]:
    """Windows of at most `longest` hours that hold exactly the given hours, oldest first."""
    windows: list[Window] = []
    for hour in sorted(set(hours)):
        if windows and windows[-1].end == hour and len(windows[-1].hours) < longest:
            windows[-1] = Window(windows[-1].start, hour + HOUR)
        else:
            windows.append(Window(hour, hour + HOUR))
    return windows
