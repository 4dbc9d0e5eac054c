"""`GET /api/2/events/segmentation`: how often an event happened, by day and by group, within the cost allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from etl.sandbox.replies import error
from etl.sandbox.state import Sandbox

_ANY = ("_active", "_all", "_any_revenue_event")
_METRICS = ("uniques", "totals", "pct_dau", "average")
_INTERVALS = {"1": timedelta(days=365), "7": timedelta(days=365 * 3), "30": timedelta(days=365 * 5), "-3600000": timedelta(days=7)}
_ALL = "(all)"


@dataclass(frozen=True)
class _Query:
    event: str
    keep: Callable[[Mapping[str, Any]], bool]
    group: Callable[[Mapping[str, Any]], str]
    days: list[date]
    cost: int


def segmentation(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """Series by day; 400 for an event that never happened, 429 for more than the cost allowed in five minutes."""
    asked = request.query_params
    metric, interval = asked.get("m", "uniques"), asked.get("i", "1")
    if metric not in _METRICS or interval not in _INTERVALS:
        return error(400, f"m must be one of {', '.join(_METRICS)}, i one of {', '.join(_INTERVALS)}")
    try:
        query = _read(asked, _INTERVALS[interval])
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        return error(400, f"Invalid chart definition: {problem}")
    if not sandbox.may_compute(query.cost):
        return error(429, f"Exceeded concurrent limit with query of cost {query.cost}")
    return _answered(sandbox, query, metric, interval, int(asked.get("limit", "100")))


def _answered(sandbox: Sandbox, query: _Query, metric: str, interval: str, limit: int) -> Response:
    labels = list(dict.fromkeys(_bucket(moment, interval) for moment in _moments(query.days, interval)))
    known, active = query.event in _ANY, {label: set[Any]() for label in labels}
    people: dict[str, dict[str, list[Any]]] = {}
    needles = () if query.event in _ANY else (query.event,)
    for event in sandbox.store.events(*needles if metric != "pct_dau" else ()):
        same = query.event in _ANY or event.get("event_type") == query.event
        known = known or same
        label = _bucket(str(event.get("event_time")), interval)
        if label not in active:
            continue
        active[label].add(event.get("amplitude_id"))
        if same and query.keep(event):
            people.setdefault(query.group(event), {}).setdefault(label, []).append(event.get("amplitude_id"))
    if not known:
        return error(400, f"Invalid event type {query.event}")
    ranked = sorted(people.items(), key=lambda item: (-sum(map(len, item[1].values())), item[0]))[:limit] or [(_ALL, {})]
    series = [[_value(found.get(label, []), metric, len(active[label])) for label in labels] for _, found in ranked]
    whole = [[one for listed in found.values() for one in listed] for _, found in ranked]
    everybody = len(set().union(*active.values())) if active else 0
    body = {
        "series": series,
        "seriesLabels": [0 if group == _ALL else group for group, _ in ranked],
        "seriesCollapsed": [[{"setId": "", "value": _value(every, metric, everybody)}] for every in whole],
        "xValues": labels,
    }
    return JSONResponse({"data": body})


def _read(asked: Mapping[str, str], longest: timedelta) -> _Query:
    event = json.loads(asked["e"])
    segments = json.loads(asked.get("s", "[]"))
    start, end = (datetime.strptime(asked[name], "%Y%m%d").date() for name in ("start", "end"))  # noqa: DTZ007
    if end < start or end - start >= longest:
        raise ValueError("the days are in no order, or too many")
    outer = [{"type": "user", "value": value} for value in (asked[name] for name in ("g", "g2") if asked.get(name))]
    inner = event.get("group_by") or []
    filters = [(one["subprop_type"], one["subprop_key"], one["subprop_op"], one["subprop_value"]) for one in event.get("filters") or []]
    filters += [("user", one["prop"], one["op"], one["values"]) for one in segments]

    def keep(row: Mapping[str, Any]) -> bool:
        return all((_property(row, kind, key) in map(str, values)) == (operation == "is") for kind, key, operation, values in filters)

    def group(row: Mapping[str, Any]) -> str:
        return "; ".join(_property(row, one["type"], one["value"]) for one in [*inner, *outer]) or _ALL

    days = [start + timedelta(days=count) for count in range((end - start).days + 1)]
    conditions = 1 + len(segments) + 4 * len(outer)
    return _Query(str(event["event_type"]), keep, group, days, len(days) * conditions * (1 + 4 * len(inner)))


def _property(row: Mapping[str, Any], kind: str, key: str) -> str:
    name = key.removeprefix("gp:")
    if kind == "event":
        found = (row.get("event_properties") or {}).get(name)
    else:
        found = row.get(name) if name in row else (row.get("user_properties") or {}).get(name)
    return "(none)" if found is None else str(found)


def _moments(days: list[date], interval: str) -> list[str]:
    if interval == "-3600000":
        return [f"{day}T{hour:02}:00:00" for day in days for hour in range(24)]
    return [str(day) for day in days]


def _bucket(moment: str, interval: str) -> str:
    if interval == "-3600000":
        return f"{moment[:10]}T{moment[11:13]}:00:00"
    if interval == "1":
        return moment[:10]
    try:
        day = date.fromisoformat(moment[:10])
    except ValueError:
        return moment
    return str(day - timedelta(days=day.weekday()) if interval == "7" else day.replace(day=1))


def _value(people: list[Any], metric: str, active: int) -> float:
    if metric == "totals":
        return len(people)
    unique = len(set(people))
    if metric == "uniques":
        return unique
    if metric == "average":
        return len(people) / unique if unique else 0
    return 100 * unique / active if active else 0
