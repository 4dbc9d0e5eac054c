"""The fields of a lake: what each stream's mapping gives to profiles. Kept in the lake, so that it can be read alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.landing.manifest import slug, write_json
from etl.mapping.kinds import KINDS, Kind
from etl.mapping.model import Mapping
from etl.mapping.pii import hashing_of


@dataclass(frozen=True)
class ProfileField:
    """A field by name, with what merging needs to know."""

    name: str
    kind_name: str
    merge: str
    capacity: int | None = None
    hashed: bool = False

    @property
    def kind(self) -> Kind:
        return KINDS[self.kind_name]


@dataclass(frozen=True)
class StreamFields:
    """What one stream gives: its fields, its identifiers (most trusted first), the mapping it was mapped with last, and which
    fields it hashes by which key."""

    stream: str
    by: tuple[str, ...]
    key: str | None
    fields: tuple[ProfileField, ...]
    fingerprint: str
    hashed: str = ""


def of_mapping(mapping: Mapping) -> StreamFields:
    fields = tuple(ProfileField(f.name, f.kind.name, f.merge, f.capacity, bool(f.pii and mapping.pii_key)) for f in mapping.fields)
    return StreamFields(
        mapping.stream, mapping.by, mapping.key.text if mapping.key else None, fields, mapping.fingerprint, hashing_of(mapping)
    )


def stream_fields(lake: Lake) -> dict[str, StreamFields]:
    """The fields of every stream in the lake, by stream."""
    folder = lake.state / "streams"
    found: dict[str, StreamFields] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        content = json.loads(path.read_text(encoding="utf-8"))
        fields = tuple(ProfileField(**field) for field in content["fields"])
        found[content["stream"]] = StreamFields(
            content["stream"], tuple(content["by"]), content["key"], fields, content["fingerprint"], content.get("hashed", "")
        )
    return found


def remember(lake: Lake, fields: StreamFields) -> None:
    """Stores what a stream gives from now on. Raises ConfigurationError where stored fragments would not fit any more."""
    known = stream_fields(lake)
    before = known.get(fields.stream)
    if before == fields:
        return
    if before is not None:
        _refuse_incompatible(before, fields)
    merged_fields([*(other for name, other in known.items() if name != fields.stream), fields])
    path = _path(lake, fields.stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(fields))


def merged_fields(streams: list[StreamFields]) -> list[ProfileField]:
    """The fields of profiles: those of all streams, each once. Raises ConfigurationError where two streams disagree."""
    found: dict[str, tuple[ProfileField, str]] = {}
    for stream in sorted(streams, key=lambda one: one.stream):
        for field in stream.fields:
            other, where = found.setdefault(field.name, (field, stream.stream))
            if other != field:
                raise ConfigurationError(
                    f"two streams map the field {field.name} differently",
                    where={
                        where: _described(other),
                        stream.stream: _described(field),
                    },
                    next_step="give both mappings the same kind, merge operator, capacity and pii, or other field names",
                )
    cases: dict[str, str] = {}
    for name in found:
        other_name = cases.setdefault(name.lower(), name)
        if other_name != name:
            raise ConfigurationError(
                f"two streams map fields whose names differ only in case: {other_name} and {name}",
                where={"streams": f"{found[other_name][1]} and {found[name][1]}"},
                next_step="write the name in one way in both mappings",
            )
    return [field for field, _ in found.values()]


def _described(field: ProfileField) -> str:
    return f"{field.kind_name}, {field.merge}{', hashed' if field.hashed else ''}"


def namespaces(streams: list[StreamFields]) -> list[str]:
    """Identifier fields over all streams, most trusted first. Raises ConfigurationError where two orders contradict."""
    order: list[str] = []
    for stream in sorted(streams, key=lambda one: (-len(one.by), one.stream)):
        for name in stream.by:
            if name not in order:
                order.append(name)
        places = [order.index(name) for name in stream.by]
        if places != sorted(places):
            raise ConfigurationError(
                "two mappings order their identifiers differently",
                where={"stream": stream.stream},
                value=", ".join(stream.by),
                next_step=f"write `by` in one order everywhere, for example {', '.join(order)}",
            )
    return order


def incompatible(before: StreamFields, now: StreamFields) -> list[str]:
    """What of a change the stored fragments cannot follow, a text for each; empty when they can."""
    old = {field.name: field for field in before.fields}
    changed = [
        f"{field.name}: {old[field.name].kind_name} {old[field.name].merge} is now {field.kind_name} {field.merge}"
        for field in now.fields
        if field.name in old and (old[field.name].kind_name, old[field.name].merge) != (field.kind_name, field.merge)
    ]
    changed += [f"by: {', '.join(before.by) or 'none'} is now {', '.join(now.by) or 'none'}"] if before.by != now.by else []
    changed += [f"key: {before.key} is now {now.key}"] if before.key != now.key else []
    changed += [f"hashed: {before.hashed or 'nothing'} is now {now.hashed or 'nothing'}"] if before.hashed != now.hashed else []
    return changed


def _refuse_incompatible(before: StreamFields, now: StreamFields) -> None:
    if changed := incompatible(before, now):
        raise ConfigurationError(
            "the mapping changed in a way that the stored fragments cannot follow",
            where={"stream": now.stream},
            value="; ".join(changed),
            next_step="run `profilemill rebuild --from landing`, or undo the change",
        )


def _path(lake: Lake, stream: str) -> Path:
    return lake.state / "streams" / f"{slug(stream)}.json"
