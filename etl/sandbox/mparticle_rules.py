"""What mParticle's published schema says about a batch, as far as its Events API enforces it."""

from __future__ import annotations

from typing import Any

_KEYS = {
    "api_key", "application_info", "batch_id", "consent_state", "context", "deleted_user_attributes", "device_info", "environment",
    "events", "integration_attributes", "ip", "mp_deviceid", "mpid", "partner_identity", "schema_version", "sdk_version",
    "source_info", "source_request_id", "timestamp_unixtime_ms", "user_attributes", "user_identities",
}  # fmt: skip
_IDENTITIES = {
    "alias", "customer_id", "email", "facebook", "facebook_custom_audience_id", "google", "microsoft", "mobile_number", "other",
    *(f"other_id_{number}" for number in range(2, 11)), "phone_number_2", "phone_number_3", "twitter", "yahoo",
}  # fmt: skip
_CUSTOM_TYPES = {
    "attribution", "location", "media", "navigation", "other", "search", "social", "transaction", "user_content", "user_preference",
}  # fmt: skip
_EVENT_TYPES = {
    "application_state_transition", "attribute_change", "commerce_event", "crash_report", "custom_event", "network_performance",
    "opt_out", "push_message", "screen_view", "session_end", "session_start", "user_attribute_change", "user_identity_change",
}  # fmt: skip
_LONGEST_NAME, _LONGEST_VALUE, _MOST_ATTRIBUTES = 256, 4096, 100


def fault_of(batch: Any) -> str | None:
    """Why a batch cannot be used; None where it can."""
    if not isinstance(batch, dict):
        return "A batch must be an object"
    unknown = sorted(set(batch) - _KEYS)
    if unknown:
        return f"Unknown property: {unknown[0]}"
    if batch.get("environment") not in ("development", "production"):
        return "environment must be development or production"
    for name, value in (batch.get("user_identities") or {}).items():
        if name not in _IDENTITIES or not isinstance(value, str):
            return f"Invalid user identity: {name}"
    return _attributes(batch.get("user_attributes"), "user_attributes", lists=True) or _events(batch.get("events"))


def _events(events: Any) -> str | None:
    if events is not None and not isinstance(events, list):
        return "events must be an array"
    return next((fault for event in events or () if (fault := _event(event)) is not None), None)


def _event(event: Any) -> str | None:
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(data, dict) or event.get("event_type") not in _EVENT_TYPES:
        return "An event needs a known event_type and data"
    if event["event_type"] == "custom_event":
        name = data.get("event_name")
        if not isinstance(name, str) or not name or len(name) > _LONGEST_NAME:
            return "Invalid event_name"
        if data.get("custom_event_type") not in _CUSTOM_TYPES:
            return f"Invalid custom_event_type: {data.get('custom_event_type')}"
    moment = data.get("timestamp_unixtime_ms", 0)
    if not isinstance(moment, int) or isinstance(moment, bool):
        return "Invalid timestamp_unixtime_ms"
    return _attributes(data.get("custom_attributes"), "custom_attributes", lists=False)


def _attributes(found: Any, where: str, *, lists: bool) -> str | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        return f"{where} must be an object"
    if len(found) > _MOST_ATTRIBUTES:
        return f"More than {_MOST_ATTRIBUTES} {where}"
    for name, value in found.items():
        values = value if lists and isinstance(value, list) else [value]
        if len(name) > _LONGEST_NAME or not all(isinstance(one, str) and len(one) <= _LONGEST_VALUE for one in values):
            return f"Invalid value of {where}.{name}"
    return None
