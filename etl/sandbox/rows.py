"""An accepted event as the export shows it, with the fields that the server fills in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.sandbox.events import COLUMNS
from etl.sandbox.properties import cut
from etl.sandbox.users import KnownUser

_ROWS = uuid.UUID("0b0f2c1e-6f0d-51ef-9a55-0242ac120002")
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_LIBRARIES = {"/2/httpapi": "http/2.0", "/batch": "batch/1.0"}
_AS_SENT = (
    "platform", "os_name", "os_version", "country", "region", "city", "dma", "location_lat", "location_lng", "partner_id", "plan",
)  # fmt: skip
_RENAMED = {"app_version": "version_name", "carrier": "device_carrier", "device_model": "device_type"}
_REVENUE = {
    "price": "$price",
    "quantity": "$quantity",
    "revenue": "$revenue",
    "productId": "$productId",
    "revenueType": "$revenueType",
    "currency": "$currency",
}
_LANGUAGES = {
    "da": "Danish", "de": "German", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nb": "Norwegian", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ru": "Russian", "sv": "Swedish", "sw": "Swahili", "tr": "Turkish", "zh": "Chinese",
}  # fmt: skip


def row_of(
    event: Mapping[str, Any],
    user: KnownUser,
    *,
    device_id: str | None,
    properties: Mapping[str, Any],
    group_properties: Mapping[str, Any],
    number: int,
    project: int | str,
    path: str,
    received: datetime,
    sender: str,
) -> dict[str, Any]:
    """The row with all its columns. `number` tells it from every other; `received` is naive UTC.

    `event_time` is the event's own time: nothing says when the client sent it, so there is no clock to correct.
    """
    happened = str(received if event.get("time") is None else _EPOCH + timedelta(milliseconds=event["time"]))
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: event[name] for name in _AS_SENT if event.get(name) is not None}
    row |= {column: event[name] for name, column in _RENAMED.items() if event.get(name) is not None}
    data: dict[str, Any] = {"path": path, "group_ids": {}, "group_first_event": {}}
    if event.get("user_properties"):
        data["user_properties_updated"] = True
    row |= {
        "$insert_id": event.get("insert_id"),
        "uuid": str(uuid.uuid5(_ROWS, f"{project}/{received.isoformat()}/{number}")),
        "app": int(project) if str(project).isdigit() else project,
        "amplitude_id": user.amplitude_id,
        "user_id": user.user_id,
        "device_id": device_id,
        "event_id": number if event.get("event_id") is None else event["event_id"],
        "event_type": event["event_type"],
        "data_type": "event",
        "session_id": -1 if event.get("session_id") is None else event["session_id"],
        "event_time": happened,
        "client_event_time": happened,
        **dict.fromkeys(("client_upload_time", "server_received_time", "server_upload_time", "processed_time"), str(received)),
        "event_properties": cut(event.get("event_properties") or {}) | _revenue(event),
        "user_properties": dict(properties),
        "groups": {name: texts_of(value) for name, value in (event.get("groups") or {}).items()},
        "group_properties": dict(group_properties),
        "data": data,
        "plan": event.get("plan") or {},
        "language": _LANGUAGES.get(str(event.get("language")).split("-")[0].split("_")[0].lower(), event.get("language")),
        "ip_address": sender if event.get("ip") == "$remote" else event.get("ip"),
        "library": event.get("library") or _LIBRARIES[path],
        "start_version": user.start_version,
        "paying": user.paying,
    }
    return row


def _revenue(event: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: event[name] for name, key in _REVENUE.items() if event.get(name) is not None}
    if "$price" in found:
        found["$revenue"] = found["$price"] * found.setdefault("$quantity", 1)
    return found


def texts_of(value: Any) -> list[str]:
    """The names of one group or several of a type."""
    return [str(item) for item in (value if isinstance(value, list) else [value])]
