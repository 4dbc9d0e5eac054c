"""The keys of what is sent: the camelCase names that are accepted, and the ids that are filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from etl.errors import ConfigurationError

SNAKE_CASE = {
    "userId": "user_id",
    "deviceId": "device_id",
    "sessionId": "session_id",
    "eventType": "event_type",
    "eventProperties": "event_properties",
    "userProperties": "user_properties",
    "appVersion": "app_version",
    "osName": "os_name",
    "osVersion": "os_version",
    "deviceBrand": "device_brand",
    "deviceManufacturer": "device_manufacturer",
    "deviceModel": "device_model",
    "locationLat": "location_lat",
    "locationLng": "location_lng",
}


def as_list(items: Mapping[str, Any] | Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """One or many as a list; ConfigurationError for what is no object."""
    listed = [items] if isinstance(items, Mapping) else list(items)
    for index, item in enumerate(listed):
        if not isinstance(item, Mapping):
            raise ConfigurationError(f"This is not {kind}: an object is expected", where={"index": index}, value=type(item).__name__)
    if not listed:
        raise ConfigurationError(f"There is nothing to send: give at least {kind}")
    return listed


def named(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the 14 camelCase keys in snake_case and the defaults where there is no value; other keys stay.

    None counts as no value. Where a key stands in both forms, the later one counts.
    """
    given = {SNAKE_CASE.get(key, key): value for key, value in item.items() if value is not None}
    return {**defaults, **given}
