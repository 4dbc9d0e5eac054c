"""A question of event segmentation: its parameters, what it costs, and its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from etl.errors import ConfigurationError, DamagedDownload

METRICS = ("uniques", "totals", "pct_dau", "average", "histogram", "sums", "value_avg", "formula")
INTERVALS = {"realtime": -300_000, "hourly": -3_600_000, "daily": 1, "weekly": 7, "monthly": 30}
MOST_COST = 1000
_OF_PROPERTIES = ("histogram", "sums", "value_avg")
_LONGEST = {"hourly": 7, "daily": 365}
_GROUP_BY = 4


@dataclass(frozen=True)
class SegmentationQuery:
    """How often an event happened from `start` to `end`, both included, in the project's time zone.

    An event is its name or the API's object (`event_type`, `filters`, `group_by`). `segments` are the API's conditions
    (`prop`, `op`, `values`), `group_by` names up to two user properties, custom ones as `gp:name`. `limit` is the number of
    groups. Making one raises ConfigurationError for what the API would refuse.
    """

    event: str | Mapping[str, Any]
    start: date
    end: date
    second_event: str | Mapping[str, Any] | None = None
    metric: str = "uniques"
    interval: str = "daily"
    users: str = "any"
    segments: Sequence[Any] = ()
    group_by: Sequence[str] = ()
    limit: int | None = None
    formula: str | None = None
    rolling_window: int | None = None
    rolling_average: int | None = None

    def __post_init__(self) -> None:
        days, longest = self.days, _LONGEST.get(self.interval)
        grouped = [*self.group_by, *(one for event in self._events() for one in event.get("group_by") or ())]
        faults = (
            (days < 1, "A query cannot end before it starts", f"{self.start} to {self.end}"),
            (self.metric not in METRICS, "Unknown metric, there are " + ", ".join(METRICS), self.metric),
            (self.interval not in INTERVALS, "Unknown interval, there are " + ", ".join(INTERVALS), self.interval),
            (longest is not None and days > longest, f"A query by this interval covers at most {longest} days", f"{days} days"),
            (self.users not in ("any", "active"), "Users are any or active", self.users),
            (len(self.group_by) > 2, "At most two properties can be grouped by", ", ".join(self.group_by)),
            (self.metric in _OF_PROPERTIES and not grouped, "This metric needs a property to group by", self.metric),
            ((self.metric == "formula") != bool(self.formula), "The metric formula and a formula go together", self.metric),
            (self.limit is not None and not 1 <= self.limit <= 1000, "The limit of groups is 1 to 1,000", str(self.limit)),
            (not all(event.get("event_type") for event in self._events()), "An event needs a name", str(self.event)),
        )
        for wrong, what, value in faults:
            if wrong:
                raise ConfigurationError(what, value=value)

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def cost(self) -> int:
        """What the query takes of the project's budget, estimated cautiously: days x conditions x cost of the events.

        Conditions are the segments, the conditions in them, and 4 for each property grouped by; an event costs 1, and 4
        more for each property that it is grouped by itself.
        """
        segments = [one if isinstance(one, list | tuple) else [one] for one in self.segments]
        nested = any(isinstance(one, list | tuple) for one in self.segments)
        conditions = (len(segments) if nested else 1) + sum(map(len, segments)) + _GROUP_BY * len(self.group_by)
        events = sum(1 + _GROUP_BY * len(event.get("group_by") or ()) for event in self._events())
        return self.days * conditions * events

    def parameters(self) -> list[tuple[str, str]]:
        """The query string, in the API's names."""
        first, *second = self._events()
        named: list[tuple[str, object]] = [
            ("e", _text(first)),
            *(("e2", _text(one)) for one in second),
            ("start", f"{self.start:%Y%m%d}"),
            ("end", f"{self.end:%Y%m%d}"),
            ("m", self.metric),
            ("i", INTERVALS[self.interval]),
            ("n", self.users),
            ("s", _text(list(self.segments)) if self.segments else None),
            *zip(("g", "g2"), self.group_by, strict=False),
            ("limit", self.limit),
            ("formula", self.formula),
            ("rollingWindow", self.rolling_window),
            ("rollingAverage", self.rolling_average),
        ]
        return [(name, str(value)) for name, value in named if value is not None]

    def _events(self) -> list[Mapping[str, Any]]:
        given = [self.event] if self.second_event is None else [self.event, self.second_event]
        return [{"event_type": one} if isinstance(one, str) else one for one in given]


@dataclass(frozen=True)
class Segmentation:
    """The answer: a series of values per label, each as long as `x_values`. `labels` are as the API gives them (text, number, list).

    `collapsed` holds each series' value over all days, where the API tells it; `cost` is the estimate of the query.
    """

    series: tuple[tuple[float, ...], ...]
    labels: tuple[Any, ...]
    x_values: tuple[str, ...]
    collapsed: tuple[Any, ...]
    cost: int
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def rows(self) -> Iterator[tuple[Any, str, float]]:
        """(label, x value, value) for every value."""
        for label, values in zip(self.labels, self.series, strict=True):
            for x_value, value in zip(self.x_values, values, strict=True):
                yield label, x_value, value


def segmentation_from(body: Mapping[str, Any], cost: int, request: str) -> Segmentation:
    """Reads `{"data": {"series", "seriesLabels", "xValues", ...}}`; DamagedDownload where the lists do not fit together."""
    data = body.get("data")
    if isinstance(data, dict):
        series, labels, x_values = data.get("series"), data.get("seriesLabels", data.get("seriesMeta")), data.get("xValues")
        if isinstance(series, list) and isinstance(x_values, list) and all(isinstance(one, list) for one in series):
            labels = labels if isinstance(labels, list) else [None] * len(series)
            if len(labels) == len(series) and all(len(one) == len(x_values) for one in series):
                collapsed = tuple(data.get("seriesCollapsed") or ())
                return Segmentation(tuple(map(tuple, series)), tuple(labels), tuple(map(str, x_values)), collapsed, cost, data)
    raise DamagedDownload("The answer holds no series of values", where={"request": request})


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
