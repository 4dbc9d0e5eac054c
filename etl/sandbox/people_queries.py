"""`GET /api/2/usersearch` and `/api/2/useractivity`: who somebody is, and what they did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from etl.sandbox.replies import error
from etl.sandbox.state import Sandbox

_MOST = 1000
_TOO_MANY = "Exceeded rate limit of {limit} user queries per hour"
_AS_LAST = ("platform", "os_name", "device_type", "device_carrier", "country", "region", "city", "dma", "language", "library", "ip_address")
_NAMES = {"os_name": "os", "device_carrier": "carrier"}


def usersearch(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """The people of an amplitude_id, a user or device id, or a prefix of user ids; an empty list where there is nobody."""
    wanted = request.query_params.get("user", "")
    if not wanted:
        return error(400, "user is missing")
    if not sandbox.may_look_up():
        return error(429, _TOO_MANY.format(limit=sandbox.options.people_queries_per_hour))
    seen: list[tuple[Any, Any, tuple[Any, ...]]]
    seen = [(event.get("amplitude_id"), event.get("user_id"), (event.get("device_id"),)) for event in sandbox.store.events(wanted)]
    with sandbox.tracked.users() as users:
        seen += [(user.amplitude_id, user.user_id, tuple(user.device_ids)) for user in users.every()]
    kinds = {
        "match_amplitude_id": _people((who, user) for who, user, _ in seen if str(who) == wanted),
        "match_user_or_device_id": _people((who, user) for who, user, devices in seen if wanted == user or wanted in devices),
        "match_user_prefix": _people((who, user) for who, user, _ in seen if user and str(user).startswith(wanted)),
    }
    kind = next((name for name, found in kinds.items() if found), "nomatch")
    return JSONResponse({"matches": kinds.get(kind, []), "type": kind})


def useractivity(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """A summary of a person and their events, newest first unless `direction=earliest`.

    `limit` counts from zero, so one more event comes than it says, and more to the end of a session.
    """
    asked = request.query_params
    wanted, offset, limit = asked.get("user", ""), asked.get("offset", "0"), asked.get("limit", str(_MOST))
    if not wanted.isdecimal() or not offset.isdecimal() or not limit.isdecimal():
        return error(400, "user, offset and limit must be whole numbers")
    if asked.get("direction", "latest") not in ("latest", "earliest"):
        return error(400, "direction must be latest or earliest")
    if not sandbox.may_look_up():
        return error(429, _TOO_MANY.format(limit=sandbox.options.people_queries_per_hour))
    events = [event for event in sandbox.store.events(wanted) if str(event.get("amplitude_id")) == wanted]
    events.sort(key=lambda event: (str(event.get("event_time")), event.get("event_id") or 0))
    with sandbox.tracked.users() as users:
        known = users.get(int(wanted))
        properties = dict(known.properties) if known and known.properties else None
        user_id, devices = (known.user_id, list(known.device_ids)) if known else (None, [])
    if not events and not devices and user_id is None:
        return JSONResponse({"userData": _nobody(), "events": []})
    body = {"userData": _summary(int(wanted), events, user_id, devices, properties)}
    if asked.get("direction", "latest") == "latest":
        events.reverse()
    first, last = int(offset), int(offset) + min(int(limit), _MOST) + 1
    while (
        last < len(events) and events[last].get("session_id", -1) != -1 and events[last]["session_id"] == events[last - 1].get("session_id")
    ):
        last += 1
    return JSONResponse(body | {"events": events[first:last]})


def _people(found: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    latest: dict[Any, Any] = {}
    for amplitude_id, user_id in found:
        if amplitude_id is not None:
            latest[amplitude_id] = user_id or latest.get(amplitude_id)
    return [{"user_id": user_id, "amplitude_id": amplitude_id} for amplitude_id, user_id in sorted(latest.items())]


def _summary(
    amplitude_id: int, events: list[dict[str, Any]], user_id: str | None, devices: list[str], properties: dict[str, Any] | None
) -> dict[str, Any]:
    last = events[-1] if events else {}
    lists = {"user_id": [event.get("user_id") for event in events], "device_id": [event.get("device_id") for event in events]}
    revenues = [event["event_properties"]["$revenue"] for event in events if "$revenue" in (event.get("event_properties") or {})]
    every_device = list(dict.fromkeys([*(one for one in lists["device_id"] if one), *devices]))
    days: list[str | None] = [str(event.get("event_time"))[:10] for event in events]
    days = days or [None]
    return {
        **{_NAMES.get(name, name): last.get(name) or "" for name in _AS_LAST},
        "user_id": next((one for one in reversed(lists["user_id"]) if one), user_id),
        "canonical_amplitude_id": amplitude_id,
        "merged_amplitude_ids": [],
        "num_events": len(events),
        "num_sessions": len({event.get("session_id") for event in events} - {-1, None}),
        "usage_time": 0,
        "first_used": days[0],
        "last_used": days[-1],
        "purchases": len(revenues),
        "revenue": sum(revenues),
        "version": last.get("version_name") or "",
        "device": last.get("device_type") or "",
        "start_version": last.get("start_version") or "",
        "paying": "true" if revenues else "",
        "device_ids": every_device,
        "last_device_id": last.get("device_id") or (devices[-1] if devices else None),
        "last_location": None if last.get("location_lat") is None else {"lat": last["location_lat"], "lng": last["location_lng"]},
        "properties": properties if properties is not None else last.get("user_properties") or {},
    }


def _nobody() -> dict[str, Any]:
    return {
        "num_sessions": 0,
        "purchases": 0,
        "revenue": 0,
        "merged_amplitude_ids": [],
        "num_events": 0,
        "canonical_amplitude_id": 1,
        "user_id": None,
        "last_location": None,
        "usage_time": 0,
        "last_device_id": None,
        "device_ids": [],
    }
