"""Faults that meet a share of the events, in whatever requests they come: `httpapi:throttled:1%`."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

_PARTS = 1_000_000


class EventFaults:
    """Which events have met their fault, and whose are refused for a while because of one; safe to use from several threads.

    An event is among the chosen by its `insert_id`, so it is the same ones each time; those without one never are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: set[tuple[str, str]] = set()
        self._until: dict[tuple[str, str, str], datetime] = {}

    def refused(self, name: str, share: float, events: list[dict[str, Any]], now: datetime, length: timedelta) -> tuple[set[str], set[str]]:
        """The devices and the users that may not send now. Each chosen event holds up its own ones once, for `length`."""
        with self._lock:
            for index in chosen(name, share, events):
                event = events[index]
                if (name, event["insert_id"]) not in self._met:
                    self._met.add((name, event["insert_id"]))
                    self._until |= {(name, kind, one): now + length for kind, one in _ids(event)}
            held = {(kind, one) for event in events for kind, one in _ids(event) if self._until.get((name, kind, one), now) > now}
        return {one for kind, one in held if kind == "device_id"}, {one for kind, one in held if kind == "user_id"}


def chosen(name: str, share: float, events: list[dict[str, Any]]) -> list[int]:
    """The indexes of the events that a fault is meant for."""
    ids = ((index, event.get("insert_id")) for index, event in enumerate(events))
    return [index for index, id_ in ids if isinstance(id_, str) and zlib.crc32(f"{name}:{id_}".encode()) % _PARTS < share * _PARTS]


def _ids(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("device_id", "user_id"):
        if event.get(kind):
            yield kind, str(event[kind])
