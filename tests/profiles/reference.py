"""Profiles by plain Python, one record after the other: what the build has to agree with."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

GUARDS = {"", "null", "nil", "none", "n/a", "na", "anonymous", "unknown", "undefined", "0", "-1", "{}", "lmy47d"}

Identifier = tuple[str, str]
Link = tuple[Identifier, Identifier]
Seen = tuple[Any, Any]  # a time, and what a record gave at that time
BY = ("user", "device", "mail")
LIMITS = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Spec:
    """A field: the key of the records that it reads (its kind's name says how), its merge operator and capacity."""

    name: str
    kind: str
    merge: str
    source: str
    capacity: int | None = None


# The fields of the small mapping (`lakes.MAPPING`).
SMALL = (
    Spec("city", "string", "latest", "city"),
    Spec("props", "map[string]string", "latest", "props"),
    Spec("counts", "map[string]intsum", "sum", "type"),
)


@dataclass
class Profile:
    id: str
    identifiers: set[Identifier] = field(default_factory=set)
    first: int = 0
    last: int = 0
    records: int = 0
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class People:
    """`profiles` by id, quarantined ones too, and the links that were not followed."""

    profiles: dict[str, Profile]
    refused: set[Link]

    def published(self, max_identifiers: int) -> dict[str, Profile]:
        return {name: one for name, one in self.profiles.items() if len(one.identifiers) <= max_identifiers}


def profiles_of(records: Sequence[dict[str, Any]], specs: Sequence[Spec] = SMALL) -> dict[str, Profile]:
    """The published profiles, with the fields of the small mapping if nothing else is said."""
    return people_of(records, specs).published(50)


def people_of(records: Sequence[dict[str, Any]], specs: Sequence[Spec] = ()) -> People:
    """The people in records `{user, device, mail, time, ..}`. `time` is in seconds."""
    links: dict[Link, int] = {}
    seen: dict[Identifier, int] = {}
    for record in records:
        own = identifiers_of(record)
        for one in own:
            seen[one] = min(seen.get(one, record["time"]), record["time"])
        for other in own[1:]:
            links[own[0], other] = min(links.get((own[0], other), record["time"]), record["time"])
    group = {one: {one} for one in seen}
    refused = set()
    for link in sorted(
        links, key=lambda link: (*(BY.index(namespace) for namespace, _ in link), links[link], *(value for _, value in link))
    ):
        a, b = group[link[0]], group[link[1]]
        if a is b:
            continue
        if sum(namespace == BY[0] for namespace, _ in a | b) > 1:
            refused.add(link)
            continue
        a |= b
        for one in b:
            group[one] = a
    owner: dict[Identifier, str] = {}
    for one, members in group.items():
        owner[one] = hash_of(min(members, key=lambda i: (seen[i], BY.index(i[0]), i[1])))
    by_profile = defaultdict(list)
    for record in records:
        if own := identifiers_of(record):
            by_profile[owner[own[0]]].append(record)
    found = {}
    for name, own_records in by_profile.items():
        times = [record["time"] for record in own_records]
        found[name] = Profile(
            name, {one for one in seen if owner[one] == name}, min(times), max(times), len(times), merged(own_records, specs)
        )
    return People(found, refused)


def merged(records: Sequence[dict[str, Any]], specs: Iterable[Spec]) -> dict[str, Any]:
    """The fields of records that belong together."""
    fields = {}
    for spec in specs:
        given = [(record["time"], _given(spec, record)) for record in records if record.get(spec.source) is not None]
        if spec.kind.startswith("map["):
            fields[spec.name] = _map(spec, given)
        elif "[]" in spec.kind:
            fields[spec.name] = _list(spec, given)
        else:
            counted = spec.merge == "count" and any(spec.source in record for record in records)
            fields[spec.name] = _value(spec.merge, given) if given else 0 if counted else None
    return fields


def _given(spec: Spec, record: dict[str, Any]) -> Any:
    """What a record gives to a field; a text counts once in a map of counters."""
    value = record[spec.source]
    return ({value: 1} if value else {}) if spec.kind == "map[string]intsum" and isinstance(value, str) else value


def _value(merge: str, given: list[Seen]) -> Any:
    if merge == "latest":
        return max(given, key=lambda seen: (seen[0], _order(seen[1])))[1]
    if merge == "oldest":
        return min(given, key=lambda seen: (seen[0], _order(seen[1])))[1]
    values = [value for _, value in given]
    if merge == "count":
        return len(values)
    if merge == "sum":
        return math.fsum(values) if isinstance(values[0], float) else min(max(sum(values), LIMITS[0]), LIMITS[1])
    return min(values) if merge == "min" else max(values)


def _order(value: Any) -> Any:
    """What decides between values of one time: their text (floats without an exponent), of dates and bools themselves."""
    return format(Decimal(repr(value)), "f") if isinstance(value, int | float) and not isinstance(value, bool) else value


def _map(spec: Spec, given: list[Seen]) -> dict[str, Any]:
    keys: dict[str, list[Seen]] = defaultdict(list)
    for time, entries in given:
        for key, value in entries.items():
            keys[key].append((time, value))
    which = min if spec.merge == "oldest" else max
    times = {key: which(time for time, _ in seen) for key, seen in keys.items()}
    kept = sorted(keys, key=lambda key: (times[key], key))[-spec.capacity if spec.capacity else 0 :]
    return {key: _value(spec.merge, keys[key]) for key in kept}


def _list(spec: Spec, given: list[Seen]) -> list[Any]:
    times: dict[Any, Any] = {}
    for time, members in given:
        for member in members:
            times[member] = max(times.get(member, time), time)
    kept = sorted(times, key=lambda member: (times[member], member))[-spec.capacity if spec.capacity else 0 :]
    return kept if spec.kind.startswith("ts") else sorted(kept)


def identifiers_of(record: dict[str, Any]) -> list[Identifier]:
    return [(name, record[name]) for name in BY if record.get(name) is not None and record[name].strip().lower() not in GUARDS]


def hash_of(identifier: Identifier) -> str:
    return hashlib.sha256("\x1f".join(identifier).encode()).hexdigest()[:32]
