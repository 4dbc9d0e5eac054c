"""Which events of an upload Amplitude refuses, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NOBODY = frozenset(
    (
        *("anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown", "", "{}", "lmy47d", "0", "-1"),
        "00000000-0000-0000-0000-000000000000",
    )
)
_OBJECTS = ("event_properties", "user_properties", "groups", "group_properties", "plan")
_MILLISECONDS = ("time", "session_id", "event_id", "quantity")
_NUMBERS = ("price", "revenue", "location_lat", "location_lng")
_DEEPEST = 40


@dataclass
class Refusals:
    """The indexes at fault by field, as the answer's three maps hold them."""

    missing: dict[str, list[int]] = field(default_factory=dict)
    invalid: dict[str, list[int]] = field(default_factory=dict)
    short: dict[str, list[int]] = field(default_factory=dict)

    def body(self, *, first_only: bool) -> dict[str, Any] | None:
        """The answer; None where nothing is at fault. `first_only` names the first event of each field alone."""
        maps = {
            "events_with_missing_fields": (self.missing, "Request missing required field"),
            "events_with_invalid_id_lengths": (self.short, "Invalid id length for user_id or device_id"),
            "events_with_invalid_fields": (self.invalid, "Invalid field values on some events"),
        }
        words = next((text for found, text in maps.values() if found), None)
        if words is None:
            return None
        named = {
            key: {name: indexes[:1] if first_only else indexes for name, indexes in found.items()}
            for key, (found, _) in maps.items()
            if found
        }
        return {"code": 400, "error": words, **named}


def check_events(events: list[Any], shortest_id: int) -> Refusals:
    """Every fault of every event."""
    found = Refusals()
    for index, event in enumerate(events):
        if isinstance(event, dict):
            _check(found, index, event, shortest_id)
        else:
            found.missing.setdefault("event_type", []).append(index)
    return found


def _check(found: Refusals, index: int, event: Mapping[str, Any], shortest_id: int) -> None:
    if not event.get("event_type"):
        found.missing.setdefault("event_type", []).append(index)
    elif not isinstance(event["event_type"], str):
        found.invalid.setdefault("event_type", []).append(index)
    ids = {name: event[name] for name in ("user_id", "device_id") if event.get(name) is not None}
    if not ids and event.get("event_type") != "$groupidentify":
        found.missing.setdefault("user_id", []).append(index)
    for name, value in ids.items():
        text = value if isinstance(value, str) else str(value)
        if text.lower() in NOBODY:
            found.invalid.setdefault(name, []).append(index)
        elif len(text) < shortest_id:
            found.short.setdefault(name, []).append(index)
    for name in _OBJECTS:
        value = event.get(name)
        if value is not None and (not isinstance(value, dict) or _depth(value) > _DEEPEST):
            found.invalid.setdefault(name, []).append(index)
    for name in _MILLISECONDS:
        if event.get(name) is not None and type(event[name]) is not int:
            found.invalid.setdefault(name, []).append(index)
    for name in _NUMBERS:
        if event.get(name) is not None and type(event[name]) not in (int, float):
            found.invalid.setdefault(name, []).append(index)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return max(map(_depth, value), default=0)
    return 0
