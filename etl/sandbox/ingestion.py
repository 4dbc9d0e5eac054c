"""What is sent: `POST /2/httpapi` and `/batch` (events), `/identify` and `/groupidentify` (properties)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, PlainTextResponse, Response

from etl.sandbox.event_checks import check_events
from etl.sandbox.event_faults import chosen
from etl.sandbox.properties import is_mixed
from etl.sandbox.replies import page, refusal
from etl.sandbox.state import Sandbox

_MOST_EVENTS = 2000
_MOST_IDENTIFICATIONS = 1024
_SHORTEST_ID = 5
# How long the ids of a throttled event are refused.
_PAUSES = {"httpapi": timedelta(seconds=30), "batch": timedelta(seconds=15)}
_LONGEST_URL = 8192


@dataclass(frozen=True)
class Posted:
    """The body of a request, and from which address it came. A `query` takes the body's place where there is none."""

    body: bytes
    sender: str
    content_type: str = ""
    query: str | None = None


def httpapi(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """HTTP V2: at most 1 MB; of events at fault the first of each kind is named."""
    return _upload(sandbox, posted, fault, "/2/httpapi", 1_000_000, sandbox.options.events_per_second, None, first_only=True)


def batch(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """Batch: at most 20 MB; all events at fault are named; users and devices have a daily quota."""
    options = sandbox.options
    return _upload(sandbox, posted, fault, "/batch", 20_000_000, options.batch_events_per_second, options.daily_events, first_only=False)


def identify(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """`success` as text; 400 with the reason as text."""

    def missing(one: dict[str, Any]) -> str | None:
        return None if one.get("user_id") or one.get("device_id") else "missing_user_id_and_device_id"

    return _identified(sandbox, posted, fault, "user_properties", missing, sandbox.tracked.identify)


def groupidentify(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """`success` as text; 400 with the reason as text."""

    def missing(one: dict[str, Any]) -> str | None:
        return None if one.get("group_type") and one.get("group_value") else "missing_group_type_or_group_value"

    return _identified(sandbox, posted, fault, "group_properties", missing, sandbox.tracked.group_identify)


def _identified(
    sandbox: Sandbox,
    posted: Posted,
    fault: str | None,
    key: str,
    missing: Callable[[dict[str, Any]], str | None],
    take: Callable[[list[dict[str, Any]]], None],
) -> Response:
    found = _identifications(sandbox, posted)
    if isinstance(found, Response):
        return found
    for one in found:
        properties = one.get(key)
        mixed = isinstance(properties, dict) and is_mixed(properties)
        wrong = missing(one) or (f"invalid_{key}: operations and other properties cannot be mixed" if mixed else None)
        if wrong:
            return PlainTextResponse(wrong, 400)
    take(found)
    return page(500) if fault == "stored" else PlainTextResponse("success")


def _upload(
    sandbox: Sandbox,
    posted: Posted,
    fault: str | None,
    path: str,
    most_bytes: int,
    per_second: int | None,
    daily: int | None,
    *,
    first_only: bool,
) -> Response:
    response = _taken(sandbox, posted, fault, path, most_bytes, per_second, daily, first_only=first_only)
    if fault == "stored" and response.status_code in (400, 413, 429):
        # It is for a request of which something can be kept: the next one.
        sandbox.faults.put_back(_route(path), fault)
    return response


def _taken(
    sandbox: Sandbox,
    posted: Posted,
    fault: str | None,
    path: str,
    most_bytes: int,
    per_second: int | None,
    daily: int | None,
    *,
    first_only: bool,
) -> Response:
    events, options, refused = _read(sandbox, posted, most_bytes)
    if refused is not None:
        return refused
    # A planned fault is used up by asking for it, so it is met whatever else is wrong with the events.
    if fault in ("throttled", "daily", "silenced") and all(isinstance(one, dict) for one in events) and _has_sender(events[0]):
        return _planned(events, fault, per_second or 30)
    shortest = options.get("min_id_length")
    refusals = check_events(events, shortest if type(shortest) is int else _SHORTEST_ID).body(first_only=first_only)
    if refusals is not None:
        return JSONResponse(refusals, 400)
    now = sandbox.now()
    refused = _by_event(sandbox, events, _route(path), now, per_second or 30)
    if refused is not None:
        return refused
    excess = sandbox.tracked.excess(events, path, now, per_second, daily)
    if excess:
        named = {"throttled_devices": excess.devices, "throttled_users": excess.users}
        if daily is not None:
            named |= {"exceeded_daily_quota_devices": excess.daily_devices, "exceeded_daily_quota_users": excess.daily_users}
        return _too_many(events, named, per_second or 0)
    sandbox.store.add_events(sandbox.tracked.rows(events, path=path, received=now, sender=posted.sender))
    if fault == "stored":
        return page(500)
    moment = round(now.replace(tzinfo=UTC).timestamp() * 1000)
    body = {"code": 200, "events_ingested": len(events), "payload_size_bytes": len(posted.body), "server_upload_time": moment}
    return JSONResponse(body)


def _read(sandbox: Sandbox, posted: Posted, most_bytes: int) -> tuple[list[Any], Mapping[str, Any], Response | None]:
    if not posted.body:
        return [], {}, _wrong("Missing request body")
    if len(posted.body) > most_bytes:
        return [], {}, refusal(413)
    try:
        found = json.loads(posted.body, parse_constant=_no_json)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return [], {}, _wrong("Invalid JSON request body")
    if not found.get("api_key"):
        return [], {}, _wrong("Request missing required field", missing_field="api_key")
    if found["api_key"] != sandbox.options.key:
        return [], {}, _wrong(f"Invalid API key: {found['api_key']}")
    if not found.get("events"):
        return [], {}, _wrong("Request missing required field", missing_field="events")
    events = found["events"]
    if not isinstance(events, list):
        return [], {}, _wrong("Invalid event JSON")
    if len(events) > _MOST_EVENTS:
        return [], {}, refusal(413)
    options = found.get("options")
    return events, options if isinstance(options, dict) else {}, None


def _route(path: str) -> str:
    return path.rpartition("/")[2]


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _has_sender(event: dict[str, Any]) -> bool:
    return bool(event.get("device_id") or event.get("user_id"))


def _by_event(sandbox: Sandbox, events: list[dict[str, Any]], route: str, now: datetime, threshold: int) -> Response | None:
    """A refusal because of the share of events that faults are planned for."""
    shares = {name: sandbox.faults.event_share(route, name) for name in ("throttled", "daily", "silenced")}
    if silenced := chosen("silenced", shares["silenced"], events):
        return _silenced(events, silenced, threshold)
    slow = sandbox.event_faults.refused("throttled", shares["throttled"], events, now, _PAUSES[route])
    over = sandbox.event_faults.refused("daily", shares["daily"], events, now, timedelta(days=1))
    if not any((*slow, *over)):
        return None
    named = {
        name: dict.fromkeys(sorted(ids), threshold + 1) for name, ids in zip(("throttled_devices", "throttled_users"), slow, strict=True)
    }
    if route == "batch":
        quotas = ("exceeded_daily_quota_devices", "exceeded_daily_quota_users")
        named |= {name: dict.fromkeys(sorted(ids), 500_001) for name, ids in zip(quotas, over, strict=True)}
    return _too_many(events, named, threshold)


def _planned(events: list[dict[str, Any]], fault: str, threshold: int) -> Response:
    """A refusal because of the ids of the first event."""
    ids = {name: str(events[0][name]) for name in ("device_id", "user_id") if events[0].get(name)}
    devices = {ids["device_id"]: threshold + 1} if "device_id" in ids else {}
    users = {ids["user_id"]: threshold + 1} if "user_id" in ids else {}
    if fault == "throttled":
        return _too_many(events, {"throttled_devices": devices, "throttled_users": users}, threshold)
    if fault == "daily":
        named = {
            "throttled_devices": {},
            "throttled_users": {},
            "exceeded_daily_quota_devices": dict.fromkeys(devices, 500_001),
            "exceeded_daily_quota_users": dict.fromkeys(users, 500_001),
        }
        return _too_many(events, named, threshold)
    return _silenced(
        events, [index for index, event in enumerate(events) if any(str(event.get(name)) == one for name, one in ids.items())], threshold
    )


def _silenced(events: list[dict[str, Any]], indexes: list[int], threshold: int) -> Response:
    kind = "device_id" if any(events[index].get("device_id") for index in indexes) else "user_id"
    return _wrong(
        f"Events silenced for {kind}",
        eps_threshold=threshold,
        exceeded_daily_quota_devices={},
        silenced_devices=sorted({str(events[index][kind]) for index in indexes if events[index].get(kind)}),
        silenced_events=indexes,
        throttled_devices={},
        throttled_events=[],
    )


def _too_many(events: list[dict[str, Any]], named: dict[str, dict[str, int]], threshold: int) -> Response:
    slow = {"device_id": named["throttled_devices"], "user_id": named["throttled_users"]}
    indexes = [index for index, event in enumerate(events) if any(str(event.get(name)) in ids for name, ids in slow.items())]
    words = "Too many requests for some devices and users"
    return JSONResponse({"code": 429, "error": words, "eps_threshold": threshold, **named, "throttled_events": indexes}, 429)


def _identifications(sandbox: Sandbox, posted: Posted) -> list[dict[str, Any]] | Response:
    if len(posted.body) > 1_000_000:
        return refusal(413)
    if len(posted.query or "") > _LONGEST_URL:
        return PlainTextResponse("Request-URI Too Large", 414)
    form = _form(posted)
    if form.get("api_key", [""])[0] != sandbox.options.key:
        return PlainTextResponse("invalid_api_key" if "api_key" in form else "missing_api_key", 400)
    try:
        found = json.loads(form.get("identification", [""])[0])
    except ValueError:
        return PlainTextResponse("missing_event", 400)
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(one, dict) for one in listed):
        return PlainTextResponse("missing_event", 400)
    return listed if len(listed) <= _MOST_IDENTIFICATIONS else refusal(413)


def _form(posted: Posted) -> dict[str, list[str]]:
    """The fields, wherever they are: in the query of a GET, URL-encoded, or as form-data."""
    if posted.query is not None:
        return parse_qs(posted.query, keep_blank_values=True)
    if not posted.content_type.lower().startswith("multipart/form-data"):
        return parse_qs(posted.body.decode("utf-8", "replace"), keep_blank_values=True)
    found: dict[str, list[str]] = {}
    head = f"Content-Type: {posted.content_type}\r\n\r\n".encode("latin-1", "replace")
    for part in BytesParser(policy=HTTP).parsebytes(head + posted.body).iter_parts():
        name, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            found.setdefault(name, []).append(value.decode("utf-8", "replace"))
    return found


def _wrong(words: str, **more: Any) -> Response:
    return JSONResponse({"code": 400, "error": words, **more}, 400)
