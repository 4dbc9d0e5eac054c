"""The right answers for a set of export lines and cohort files, in plain Python that shares nothing with the product.

One pass over the lines keeps, per identifier, what must be known; `Answers.result()` then joins identifiers to
people. Messages have a time (`event_time`, `last_computed`); of several values that with the greatest
(time, value text) wins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

GUARD_WORDS = frozenset(("", "null", "none", "anonymous", "unknown", "undefined", "0", "-1", "{}", "00000000-0000-0000-0000-000000000000"))
# field of the profile <- column
EVENT_FIELDS = {
    "city": "city",
    "region": "region",
    "country": "country",
    "language": "language",
    "amplitude_platform": "platform",
    "amplitude_device_id": "device_id",
    "amplitude_device_type": "device_type",
    "amplitude_library": "library",
    "amplitude_os_name": "os_name",
}
COHORT_FIELDS = {
    "city": "city",
    "region": "region",
    "country": "country",
    "language": "language",
    "amplitude_platform": "platform",
    "amplitude_device": "device",
    "amplitude_device_type": "device_type",
    "amplitude_library": "library",
    "amplitude_os": "os",
    "amplitude_version": "version",
    "amplitude_carrier": "carrier",
    "amplitude_start_version": "start_version",
}
Identity = tuple[str, str]
_Latest = dict[str, tuple[datetime, str]]
_USER, _AMPLITUDE = "amplitude_user_id", "amplitude_id"


@dataclass
class _Known:
    """What the records placed on one identifier add up to."""

    records: int = 0
    events: dict[str, int] = field(default_factory=dict)
    fields: _Latest = field(default_factory=dict)
    event_properties: _Latest = field(default_factory=dict)
    user_properties: _Latest = field(default_factory=dict)
    cohort_ids: set[str] = field(default_factory=set)
    cohort_names: set[str] = field(default_factory=set)


@dataclass
class Answers:
    """Collects lines and members in any order; `result()` may be asked at any time."""

    _hours: dict[datetime, dict[str, int]] = field(default_factory=dict)
    _uuids: dict[datetime, set[str]] = field(default_factory=dict)
    _known: dict[Identity, _Known] = field(default_factory=dict)
    _links: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _cohorts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _unidentified: dict[str, int] = field(default_factory=lambda: {"events": 0, "members": 0})
    _wrong_clocks: int = 0

    def add_lines(self, hour: datetime, lines: Iterable[bytes]) -> None:
        """Takes one member of an upload hour (naive UTC)."""
        counts = self._hours.setdefault(hour, {"lines": 0, "broken": 0, "duplicates": 0, "events": 0})
        seen = self._uuids.setdefault(hour, set())
        for index, line in enumerate(lines):
            text = line.removeprefix(b"\xef\xbb\xbf") if index == 0 else line
            if not text.strip():
                continue
            counts["lines"] += 1
            event = _object(text)
            if event is None:
                counts["broken"] += 1
            elif event.get("uuid") in seen:
                counts["duplicates"] += 1
            else:
                if event.get("uuid"):
                    seen.add(event["uuid"])
                counts["events"] += 1
                self._add_event(hour, event)

    def add_cohort(self, entry: Mapping[str, Any], header: list[str], rows: Iterable[list[str]]) -> None:
        """Takes one cohort's listed entry and its file with all columns; the first row of an amplitude_id counts."""
        computed = datetime.fromtimestamp(entry["lastComputed"], UTC).replace(tzinfo=None)
        names = [name.strip("\t") for name in header]
        members: dict[str, dict[str, str]] = {}
        for row in rows:
            cells: dict[str, str] = {}
            for name, cell in zip(names, row, strict=True):
                cells.setdefault(name, cell.strip("\t"))
            members.setdefault(cells["amplitude_id"], cells)
        self._cohorts[entry["id"]] = {"name": entry["name"], "members": len(members)}
        for cells in members.values():
            known = self._place("members", computed, cells.get("user_id"), cells["amplitude_id"])
            if known is None:
                continue
            known.cohort_ids.add(entry["id"])
            known.cohort_names.add(entry["name"])
            for name, column in COHORT_FIELDS.items():
                _offer(known.fields, name, computed, cells.get(column))
            _offer(known.fields, "amplitude_last_computed", computed, _iso(computed))

    def result(self) -> dict[str, Any]:
        """The answers as JSON values; lists and keys are sorted, so equal data gives equal text."""
        owners, conflicts = self._owners()
        people: dict[Identity, list[Identity]] = {}
        for identity in self._known:
            people.setdefault(owners.get(identity, identity), []).append(identity)
        for identity, owner in owners.items():
            if identity not in people.setdefault(owner, []):
                people[owner].append(identity)
        totals = {name: sum(hour[name] for hour in self._hours.values()) for name in _TOTALS}
        return {
            **totals,
            "unidentified_events": self._unidentified["events"],
            "wrong_clocks": self._wrong_clocks,
            "hours": {hour.strftime("%Y-%m-%dT%H"): counts for hour, counts in sorted(self._hours.items())},
            "cohorts": dict(sorted(self._cohorts.items())),
            "unidentified_members": self._unidentified["members"],
            "conflicts": conflicts,
            "profiles": sorted((self._profile(group) for group in people.values()), key=lambda one: str(one["identifiers"])),
        }

    def _add_event(self, hour: datetime, event: Mapping[str, Any]) -> None:
        when = _time(event.get("event_time")) or _time(event.get("server_upload_time")) or hour
        if when > (_time(event.get("server_upload_time")) or hour) + timedelta(days=1):
            self._wrong_clocks += 1
        known = self._place("events", when, event.get("user_id"), event.get("amplitude_id"))
        if known is None:
            return
        if event.get("event_type"):
            known.events[event["event_type"]] = known.events.get(event["event_type"], 0) + 1
        for name, column in EVENT_FIELDS.items():
            _offer(known.fields, name, when, event.get(column))
        if _time(event.get("event_time")):
            _offer(known.fields, "amplitude_event_time", when, _iso(when))
        for target, column in (
            (known.event_properties, "event_properties"),
            (known.user_properties, "user_properties"),
        ):
            for key, text in flat(event.get(column) or {}).items():
                _offer(target, key, when, text)

    def _place(self, kind: str, when: datetime, user: object, amplitude: object) -> _Known | None:
        user_id = None if user is None or str(user) in GUARD_WORDS else str(user)
        amplitude_id = None if amplitude is None or str(amplitude) in GUARD_WORDS else str(amplitude)
        if user_id is None and amplitude_id is None:
            self._unidentified[kind] += 1
            return None
        if user_id is not None and amplitude_id is not None:
            link = (amplitude_id, user_id)
            self._links[link] = min(when, self._links.get(link, when))
        identity = (_USER, user_id) if user_id is not None else (_AMPLITUDE, str(amplitude_id))
        known = self._known.setdefault(identity, _Known())
        known.records += kind == "events"
        return known

    def _owners(self) -> tuple[dict[Identity, Identity], list[dict[str, str]]]:
        """Each linked amplitude_id belongs to the user of its earliest link; its other links are conflicts.

        As every link joins one user to one amplitude_id and no profile may hold two users, this is what following the
        links in the order (first seen, user, amplitude_id) comes to.
        """
        owners: dict[Identity, Identity] = {}
        conflicts = []
        for (amplitude_id, user_id), _ in sorted(self._links.items(), key=lambda item: (item[1], item[0][1], item[0][0])):
            kept = owners.setdefault((_AMPLITUDE, amplitude_id), (_USER, user_id))
            if kept[1] != user_id:
                conflicts.append({_AMPLITUDE: amplitude_id, _USER: user_id, "stays_with": kept[1]})
        return owners, sorted(conflicts, key=lambda one: (one[_AMPLITUDE], one[_USER]))

    def _profile(self, identities: list[Identity]) -> dict[str, Any]:
        whole = _Known()
        for known in (self._known[identity] for identity in identities if identity in self._known):
            whole.records += known.records
            whole.cohort_ids |= known.cohort_ids
            whole.cohort_names |= known.cohort_names
            for kind, count in known.events.items():
                whole.events[kind] = whole.events.get(kind, 0) + count
            for target, source in (
                (whole.fields, known.fields),
                (whole.event_properties, known.event_properties),
                (whole.user_properties, known.user_properties),
            ):
                for name, (when, text) in source.items():
                    _offer(target, name, when, text)
        return {
            "identifiers": {
                _USER: sorted(value for namespace, value in identities if namespace == _USER),
                _AMPLITUDE: sorted(value for namespace, value in identities if namespace == _AMPLITUDE),
            },
            "records": whole.records,
            "amplitude_events": dict(sorted(whole.events.items())),
            "fields": _texts(whole.fields),
            "amplitude_event_properties": _texts(whole.event_properties),
            "amplitude_user_properties": _texts(whole.user_properties),
            "amplitude_cohort_ids": dict.fromkeys(sorted(whole.cohort_ids), True),
            "amplitude_cohort_names": dict.fromkeys(sorted(whole.cohort_names), True),
        }


_TOTALS = ("lines", "broken", "duplicates", "events")


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Properties as texts by dotted path: lists joined by commas, lists of objects by position, nulls left out.

    >>> flat({"a": {"b.c": 1.50}, "d": [True, None, "x"], "e": [{"f": 1e-7}]})
    {'a.b.c': '1.5', 'd': 'true,x', 'e[0].f': '0.0000001'}
    """
    found: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            found |= {name: text for name, text in flat(item, f"{prefix}{key}.").items() if name not in found}
        elif isinstance(item, list) and any(isinstance(one, dict | list) for one in item):
            places = {f"{key}[{index}]": one for index, one in enumerate(item)}
            found |= {name: text for name, text in flat(places, prefix).items() if name not in found}
        elif isinstance(item, list):
            texts = [_text(one) for one in item if one is not None]
            if texts:
                found.setdefault(prefix + key, ",".join(texts))
        elif item is not None:
            found.setdefault(prefix + key, _text(item))
    return found


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _iso(when: datetime) -> str:
    return when.replace(tzinfo=UTC).isoformat()


def _offer(latest: _Latest, name: str, when: datetime, value: object) -> None:
    if value is None or value == "":
        return
    offer = (when, _text(value))
    if name not in latest or offer > latest[name]:
        latest[name] = offer


def _texts(latest: _Latest) -> dict[str, str]:
    return {name: text for name, (_, text) in sorted(latest.items())}
