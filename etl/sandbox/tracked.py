"""What was sent to a sandbox: users and their properties, groups, the events once each, and how much of it was refused."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from etl.sandbox.properties import changed
from etl.sandbox.rates import Window
from etl.sandbox.rows import row_of, texts_of
from etl.sandbox.users import KnownUser, Users, device_of

_REMEMBERED = timedelta(days=7)
_RATE_WINDOW = timedelta(seconds=30)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Excess:
    """Who sent too much: rates in events per second by id, and counts of the day by id."""

    devices: dict[str, int]
    users: dict[str, int]
    daily_devices: dict[str, int]
    daily_users: dict[str, int]

    def __bool__(self) -> bool:
        return bool(self.devices or self.users or self.daily_devices or self.daily_users)


class Tracked:
    """The state behind the sending routes; safe to use from several threads."""

    def __init__(self, known: Iterable[tuple[int, str | None]], project: int | str) -> None:
        self._lock = threading.RLock()
        self._users = Users(known)
        self._groups: dict[tuple[str, str], dict[str, Any]] = {}
        self._project = project
        self._seen: dict[tuple[str | None, str], datetime] = {}
        self._forgotten_until: datetime | None = None
        self._number = 100_000_000
        self._insert_ids: list[str | None] = []
        self._counts: Counter[str] = Counter()
        self._rates = {kind: Window(_RATE_WINDOW) for kind in ("/2/httpapi", "/batch")}
        self._days = Window(_DAY)

    def excess(self, events: list[dict[str, Any]], path: str, now: datetime, per_second: int | None, daily: int | None) -> Excess:
        """Who would exceed a limit with these events. Where nobody does, the events are counted."""
        counts = Counter(f"{name}:{event[name]}" for event in events for name in ("device_id", "user_id") if event.get(name))
        seconds = int(_RATE_WINDOW.total_seconds())
        with self._lock:
            fast = {} if per_second is None else self._rates[path].above(counts, per_second * seconds, now)
            many = {} if daily is None else self._days.above(counts, daily, now)
            if not fast and not many:
                self._rates[path].add(counts, now)
                self._days.add(counts, now)
        rates = {name: -(-count // seconds) for name, count in fast.items()}
        return Excess(_of("device_id:", rates), _of("user_id:", rates), _of("device_id:", many), _of("user_id:", many))

    def rows(self, events: list[dict[str, Any]], *, path: str, received: datetime, sender: str) -> list[dict[str, Any]]:
        """Takes the events in: the rows of those that are new and are exported."""
        found = []
        with self._lock:
            for event in events:
                user_id, device_id = _text(event.get("user_id")), _text(event.get("device_id"))
                if event["event_type"] == "$groupidentify":
                    self._group_event(event)
                    continue
                device_id = device_id or (device_of(user_id) if user_id else None)
                if self._is_repeated(event, device_id, received):
                    self._counts["duplicates"] += 1
                    continue
                user = self._users.resolve(user_id, device_id)
                given = event.get("user_properties") or {}
                if event["event_type"] == "$identify":
                    user.properties = changed(user.properties, given)
                    self._counts["identifications"] += 1
                    continue
                shown = user.properties
                if event.get("$skip_user_properties_sync"):
                    shown = changed({}, given)
                elif given:
                    shown = user.properties = changed(user.properties, given)
                self._note(user, event)
                self._number += 1
                self._insert_ids.append(event.get("insert_id"))
                found.append(
                    row_of(
                        event,
                        user,
                        device_id=device_id,
                        properties=shown,
                        group_properties=self._of_groups(event.get("groups") or {}),
                        number=self._number,
                        project=self._project,
                        path=path,
                        received=received,
                        sender=sender,
                    )
                )
        return found

    def identify(self, identifications: list[dict[str, Any]]) -> None:
        """Changes properties of users; they show from their next event on."""
        with self._lock:
            for one in identifications:
                user = self._users.resolve(_text(one.get("user_id")), _text(one.get("device_id")))
                user.properties = changed(user.properties, one.get("user_properties") or {})
                self._counts["identifications"] += 1

    def group_identify(self, groups: list[dict[str, Any]]) -> None:
        """Changes properties of groups."""
        with self._lock:
            for one in groups:
                key = (str(one["group_type"]), str(one["group_value"]))
                self._groups[key] = changed(self._groups.get(key, {}), one.get("group_properties") or {})
                self._counts["group identifications"] += 1

    @contextmanager
    def users(self) -> Iterator[Users]:
        """The people, for as long as the block runs unchanged by others."""
        with self._lock:
            yield self._users

    def summary(self) -> dict[str, Any]:
        """What was taken in: counts, the `insert_id` of each stored event in order, the groups and their properties."""
        with self._lock:
            groups: dict[str, dict[str, Any]] = {}
            for (kind, value), properties in self._groups.items():
                groups.setdefault(kind, {})[value] = properties
            return {
                "stored": len(self._insert_ids),
                "duplicates": self._counts["duplicates"],
                "identifications": self._counts["identifications"],
                "group_identifications": self._counts["group identifications"],
                "insert_ids": list(self._insert_ids),
                "groups": groups,
            }

    def _is_repeated(self, event: Mapping[str, Any], device_id: str | None, now: datetime) -> bool:
        if self._forgotten_until is None or now >= self._forgotten_until:
            self._seen = {key: when for key, when in self._seen.items() if when > now - _REMEMBERED}
            self._forgotten_until = now + _DAY
        if event.get("insert_id"):
            key = (device_id, f"insert:{event['insert_id']}")
        elif event.get("event_id") is not None and event.get("time") is not None:
            key = (device_id, f"event:{event['event_id']}:{event['time']}")
        else:
            return False
        before = self._seen.get(key)
        if before is not None and before > now - _REMEMBERED:
            return True
        self._seen[key] = now
        return False

    def _group_event(self, event: Mapping[str, Any]) -> None:
        properties = event.get("group_properties") or {}
        listed = [
            {"group_type": kind, "group_value": value, "group_properties": properties}
            for kind, values in (event.get("groups") or {}).items()
            for value in texts_of(values)
        ]
        self.group_identify(listed)

    def _of_groups(self, groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {kind: {text: dict(self._groups.get((kind, text), {})) for text in texts_of(values)} for kind, values in groups.items()}

    def _note(self, user: KnownUser, event: Mapping[str, Any]) -> None:
        user.start_version = user.start_version or event.get("app_version")
        if event.get("revenue") or event.get("price"):
            user.paying = True


def _of(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
