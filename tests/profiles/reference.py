"""Profiles by plain Python, one record after the other: what the build has to agree with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

GUARDS = {"", "null", "nil", "none", "n/a", "na", "anonymous", "unknown", "undefined", "0", "-1", "{}", "lmy47d"}

Identifier = tuple[str, str]
BY = ("user", "device")


@dataclass
class Profile:
    id: str
    identifiers: set[Identifier] = field(default_factory=set)
    first: int = 0
    last: int = 0
    records: int = 0
    city: str | None = None
    props: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def profiles_of(records: list[dict[str, Any]]) -> dict[str, Profile]:
    """Profiles of records `{user, device, time, city, props, type}`, by id. `time` is in seconds."""
    links: dict[tuple[Identifier, Identifier], int] = {}
    seen: dict[Identifier, int] = {}
    for record in records:
        own = identifiers_of(record)
        for one in own:
            seen[one] = min(seen.get(one, record["time"]), record["time"])
        for other in own[1:]:
            link = (own[0], other)
            links[link] = min(links.get(link, record["time"]), record["time"])
    group = {one: {one} for one in seen}
    order = sorted(links, key=lambda link: (BY.index(link[0][0]), BY.index(link[1][0]), links[link], link[0][1], link[1][1]))
    for left, right in order:
        a, b = group[left], group[right]
        if a is b or sum(namespace == BY[0] for namespace, _ in a | b) > 1:
            continue
        a |= b
        for one in b:
            group[one] = a
    found: dict[str, Profile] = {}
    for one, members in group.items():
        naming = min(members, key=lambda i: (seen[i], BY.index(i[0]), i[1]))
        profile = found.setdefault(hash_of(naming), Profile(hash_of(naming), set(members), first=10**12, last=-(10**12)))
        assert one in profile.identifiers
    owner = {one: profile for profile in found.values() for one in profile.identifiers}
    latest: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    for record in records:
        own = identifiers_of(record)
        if not own:
            continue
        profile = owner[own[0]]
        profile.first, profile.last = min(profile.first, record["time"]), max(profile.last, record["time"])
        profile.records += 1
        values = {"city": record["city"], **{f"props.{key}": value for key, value in record["props"].items()}}
        for name, value in values.items():
            if value is not None:
                latest[profile.id][name] = max(latest[profile.id].get(name, (record["time"], value)), (record["time"], value))
        if record["type"]:
            profile.counts[record["type"]] = profile.counts.get(record["type"], 0) + 1
    for profile in found.values():
        profile.city = latest[profile.id].pop("city", (0, None))[1]
        profile.props = {name.removeprefix("props."): value for name, (_, value) in latest[profile.id].items()}
    return found


def identifiers_of(record: dict[str, Any]) -> list[Identifier]:
    return [(name, record[name]) for name in BY if record[name] is not None and record[name].strip().lower() not in GUARDS]


def hash_of(identifier: Identifier) -> str:
    return hashlib.sha256("\x1f".join(identifier).encode()).hexdigest()[:32]
