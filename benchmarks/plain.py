"""Profiles of exported events in plain Python, read off the documents and sharing no code with Profilemill: what
`truth.py` holds its results against. It reads the fields of `mappings/amplitude_events.yaml`, knows the expressions that stand there,
and keeps in memory what the people of one pass come to, whatever the number of their events."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

_WORDS = "null nil none n/a na anonymous unknown undefined 0 -1 {} lmy47d 00000000-0000-0000-0000-000000000000"
GUARDS = frozenset(("", *_WORDS.split()))
MOST_IDENTIFIERS = 50
_PER_PASS = 60_000
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?")
_EPOCH = datetime.fromtimestamp(0, UTC)

Fields = list[tuple[str, str, str]]
Profile = dict[str, Any]


def read_fields(mapping: Path) -> Fields:
    """Name, expression and kind of each field."""
    return [(one["field"], str(one["from"]), one["kind"]) for one in yaml.safe_load(mapping.read_text(encoding="utf-8"))["fields"]]


class Plain:
    """The profiles of the export members in a folder. `identify` first; then `passes` times `profiles(number)`."""

    def __init__(self, members: Path, fields: Fields) -> None:
        self.fields, self.kinds = fields, {name: kind for name, _, kind in fields}
        self.hours: dict[str, list[Path]] = {}
        for path in members.rglob("*.json.gz"):
            date, hour = re.fullmatch(r".+_(\d{4}-\d\d-\d\d)_(\d+)#\d+\.json\.gz", path.name).groups()  # type: ignore[union-attr]
            self.hours.setdefault(f"{date}T{int(hour):02d}", []).append(path)
        for paths in self.hours.values():
            paths.sort(key=lambda path: int(path.name.split("#")[1].split(".")[0]))
        self.scalars = [(name, *_reader(expression, kind)) for name, expression, kind in fields if not kind.startswith("map")]
        self.maps = [(name, expression[7:-2]) for name, expression, _ in fields if expression.startswith("match(")]
        self.first: dict[tuple[str, str], int] = {}
        self.owner: dict[str, str] = {}
        self.counts = {"lines": 0, "rejects": 0, "rows": 0, "unidentified": 0}
        self.passes = 1

    def rows(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Every record that counts, with its message time in microseconds."""
        self.counts |= dict.fromkeys(("lines", "rejects", "rows"), 0)
        for hour, paths in sorted(self.hours.items()):
            records: dict[object, dict[str, Any]] = {}
            for line in _lines(paths):
                self.counts["lines"] += 1
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    self.counts["rejects"] += 1
                    continue
                key = record.get("uuid")
                records[len(records) if key is None else str(key)] = record  # of equal keys the last one counts
            self.counts["rows"] += len(records)
            for record in records.values():
                time = moment(record.get("event_time"))
                if time is None:
                    time = moment(record.get("server_upload_time"))
                yield record, moment(hour.replace("T", " ") + ":00:00") or 0 if time is None else time

    def identify(self) -> None:
        """Who is who: the first pass over all records."""
        links: dict[tuple[str, str], int] = {}
        unidentified = 0
        for record, time in self.rows():
            user, device = ids_of(record)
            unidentified += user is None and device is None
            for one in (("amplitude_user_id", user), ("amplitude_id", device)):
                if one[1] is not None and time < self.first.get(one, 1 << 62):  # type: ignore[arg-type]
                    self.first[one] = time  # type: ignore[index]
            if user is not None and device is not None and time < links.get((user, device), 1 << 62):
                links[user, device] = time
        self.counts["unidentified"] = unidentified
        # A user is one person; a device stays with the first user by (first seen, user, device).
        self.refused = 0
        for (user, device), _ in sorted(links.items(), key=lambda one: (one[1], one[0])):
            self.refused += device in self.owner and self.owner[device] != user
            self.owner.setdefault(device, user)
        self.people: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for one in self.first:
            self.people.setdefault(self._person(*one), []).append(one)
        self.passes = max(1, -(-len(self.people) // _PER_PASS))

    def _person(self, namespace: str, value: str) -> tuple[str, str]:
        if namespace == "amplitude_id" and value in self.owner:
            return "amplitude_user_id", self.owner[value]
        return namespace, value

    def profiles(self, number: int) -> dict[str, Profile]:
        """The published profiles of one pass, by profile id."""
        numbers = {person: ix % self.passes for ix, person in enumerate(self.people)}
        found: dict[tuple[str, str], Profile] = {}
        for record, time in self.rows():
            user, device = ids_of(record)
            if user is None and device is None:
                continue
            person = ("amplitude_user_id", user) if user is not None else self._person("amplitude_id", device or "")
            if numbers[person] == number:
                self._add(found.setdefault(person, {"first_seen": time, "last_seen": time}), record, time)
        published = {}
        for person, profile in found.items():
            identifiers = self.people[person]
            if len(identifiers) <= MOST_IDENTIFIERS:
                named = min(identifiers, key=lambda one: (self.first[one], one[0] == "amplitude_id", one[1]))
                published[hashlib.sha256("\x1f".join(named).encode()).hexdigest()[:32]] = self._published(profile)
        return published

    def _add(self, profile: Profile, record: dict[str, Any], time: int) -> None:
        profile["first_seen"], profile["last_seen"] = min(profile["first_seen"], time), max(profile["last_seen"], time)
        for name, key, read, text in self.scalars:
            known = profile.get(name)
            if known is not None and known[0] > time:
                continue
            value = read(record.get(key))
            if value is not None and (known is None or time > known[0] or text(value) > text(known[1])):
                profile[name] = (time, value)
        for name, prefix in self.maps:
            values = record.get(prefix[:-1])
            if isinstance(values, dict) and values:
                map_ = profile.setdefault(name, {})
                for key, value in flat(values).items():
                    if key not in map_ or (time, value) > map_[key]:
                        map_[key] = (time, value)
        kind = text_of(record.get("event_type"))
        if kind:
            counts = profile.setdefault("amplitude_events", {})
            counts[kind] = counts.get(kind, 0) + 1

    def _published(self, profile: Profile) -> Profile:
        made: Profile = {"first_seen": _date(profile["first_seen"]), "last_seen": _date(profile["last_seen"])}
        for name, kind in self.kinds.items():
            state = profile.get(name)
            if not state:
                made[name] = None
            elif kind == "map[string]intsum":
                made[name] = state
            elif kind.startswith("map"):
                made[name] = {key: value for key, (_, value) in state.items()}
            else:
                made[name] = _date(state[1]) if kind == "date" else state[1]
        return made


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with gzip.open(path) as file:
            for number, line in enumerate(file):
                text = line.rstrip(b"\n").removeprefix(b"\xef\xbb\xbf" if number == 0 else b"")
                if text.strip():
                    yield text


@lru_cache(maxsize=1 << 17)
def _moment(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    except ValueError:
        return None
    seconds = (whole - _EPOCH).days * 86400 + (whole - _EPOCH).seconds
    return seconds * 1_000_000 + int((found[3] or "0").ljust(6, "0"))


def moment(value: object) -> int | None:
    """`2024-03-02 00:12:30` with or without a fraction, in microseconds."""
    return _moment(value) if isinstance(value, str) else None


def _date(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def text_of(value: Any) -> str | None:
    """The text of a value: lists of scalars joined by comma, other shapes as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        texts = [text for item in value if (text := text_of(item)) is not None]
        return ",".join(texts) if texts else None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def flat(values: dict[str, Any]) -> dict[str, str]:
    """Nested properties as one map of texts; of two properties that come to one key the first counts."""
    found: dict[str, str] = {}

    def add(key: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                add(f"{key}.{name}", inner)
        elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            for place, inner in enumerate(value):
                add(f"{key}[{place}]", inner)
        elif (text := text_of(value)) is not None:
            found.setdefault(key, text)

    for name, value in values.items():
        add(name, value)
    found.pop("", None)
    return found


def ids_of(record: dict[str, Any]) -> tuple[str | None, str | None]:
    """The user id and the Amplitude id; None for what identifies nobody."""
    user, device = text_of(record.get("user_id")), text_of(record.get("amplitude_id"))
    return (
        None if user is None or user.strip().lower() in GUARDS else user,
        None if device is None or device.strip().lower() in GUARDS else device,
    )


def _reader(expression: str, kind: str) -> tuple[str, Callable[[Any], Any], Callable[[Any], str]]:
    """Of a scalar field: the column it reads, how its value is read, and the text that decides at equal times."""
    if expression.startswith("todate("):
        return expression.split(", ")[1].rstrip(")"), moment, lambda value: f"{value:020d}"
    readers: dict[str, tuple[Callable[[Any], Any], Callable[[Any], str]]] = {
        "string": (text_of, str),
        "int": (_int, str),
        "number": (_number, repr),
        "bool": (lambda value: _BOOLS.get(text_of(value) or ""), lambda value: "true" if value else "false"),
    }
    return expression.strip("`"), *readers[kind]


def _int(value: Any) -> int | None:
    text = text_of(value)
    number = int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(text_of(value) or "")
    except ValueError:
        return None
