"""One upload hour of invented export lines, made from the seed and the hour alone: any hour can be made by itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.sandbox.people import Device, Person, Place, SampleSpec, people_of, places

# fmt: off
COLUMNS = (
    "$insert_id", "$insert_key", "$schema", "adid", "amplitude_attribution_ids", "amplitude_event_type",
    "amplitude_id", "app", "city", "client_event_time", "client_upload_time", "country", "data", "data_type",
    "device_brand", "device_carrier", "device_family", "device_id", "device_manufacturer", "device_model",
    "device_type", "dma", "event_id", "event_properties", "event_time", "event_type", "global_user_properties",
    "group_properties", "groups", "idfa", "ip_address", "is_attribution_event", "language", "library",
    "location_lat", "location_lng", "os_name", "os_version", "partner_id", "paying", "plan", "platform",
    "processed_time", "region", "sample_rate", "server_received_time", "server_upload_time", "session_id",
    "source_id", "start_version", "user_creation_time", "user_id", "user_properties", "uuid", "version_name",
)
# fmt: on
EXAMPLE_HOUR = datetime(2022, 11, 21, 15, tzinfo=UTC).replace(tzinfo=None)
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_QUIET_HOUR = 4
_NOTES = (
    "plain",
    "two\nlines",
    "line\u2028separator",
    'said "hi", left',
    "🙂 emoji",
    "tab\there",
    "Ünïcödé",
    "back\\slash",
)
_BROKEN = (
    b'{"uuid":"cut-in-the-mid',
    b"upstream connect error",
    b"[1,2,3]",
    b'"only a text"',
    b"42",
    b"null",
    b'{"uuid":"\xff\xfe"}',
)
_Properties = Callable[[random.Random], dict[str, Any]]


def _page_viewed(rng: random.Random) -> dict[str, Any]:
    path = rng.choice(("/", "/pricing", "/docs?q=a%20b", "/été"))
    return {"[Amplitude] Page URL": f"https://shop.example{path}", "City": rng.choice(("A", "B")), "city": "lower twin"}


def _order_completed(rng: random.Random) -> dict[str, Any]:
    items = [{"sku": f"s-{rng.randrange(50)}", "qty": rng.randrange(1, 4)} for _ in range(rng.randrange(1, 3))]
    total = rng.randrange(100, 99999) / 100 + 0.001
    return {"$revenue": round(total, 3), "items": items, "coupon": None, "ad": {"cost": rng.randrange(9), "net": "x"}}


def _ad_seen(rng: random.Random) -> dict[str, Any]:
    return {
        "ad.cost": rng.randrange(100),
        "ad_metrics.rate": rng.choice((0.0000001, 0.25, 1234567.5)),
        "clicked": rng.random() < 0.1,
    }


def _note_saved(rng: random.Random) -> dict[str, Any]:
    tags: tuple[list[object], ...] = (["a", "b"], ["a", None, 3, True], [], [2**60 + 1, 0.5])
    return {
        "note text": rng.choice(_NOTES),
        "tags": rng.choice(tags),
        "big": 2**62 + rng.randrange(9),
        "empty": {},
        "deep": {"a": {"b.c": 1}},
    }


def _session_start(rng: random.Random) -> dict[str, Any]:
    return {}


_KINDS: tuple[tuple[str, int, _Properties], ...] = (
    ("Page Viewed", 50, _page_viewed),
    ("session_start", 20, _session_start),
    ("Ad Seen", 15, _ad_seen),
    ("Order Completed", 8, _order_completed),
    ("Note Saved", 6, _note_saved),
    ("[Amplitude] Application Opened", 1, _session_start),
)
_WEIGHTS = tuple(weight for _, weight, _ in _KINDS)


def example_event() -> dict[str, Any]:
    """The event whose every field is published in the documentation that this project follows."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / "example_event.json").read_text("utf-8"))
    return loaded


def events_per_hour(spec: SampleSpec) -> dict[datetime, int]:
    """How many distinct events each upload hour (naive UTC) has; they sum to `spec.events`. One hour a night has none;
    the published example's hour always has some."""
    start = spec.first_hour.replace(tzinfo=None)
    hours = [start + timedelta(hours=index) for index in range(spec.hours)]
    weights = [0 if hour.hour == _QUIET_HOUR and spec.hours > 1 else 4 + abs(12 - abs(hour.hour - 14)) for hour in hours]
    whole = sum(weights)
    counts: dict[datetime, int] = {}
    before = 0
    for hour, weight in zip(hours, weights, strict=True):
        counts[hour] = (before + weight) * spec.events // whole - before * spec.events // whole
        before += weight
    if counts.get(EXAMPLE_HOUR) == 0 and spec.events:
        counts[max(counts, key=lambda hour: counts[hour])] -= 1
        counts[EXAMPLE_HOUR] = 1
    return counts


def hour_lines(spec: SampleSpec, hour: datetime, count: int) -> dict[int, list[bytes]]:
    """The raw lines of one upload hour (naive UTC) by part, blank lines and a byte order mark now and then included."""
    if not count:
        return {}
    rng = random.Random(f"events/{spec.seed}/{hour.isoformat()}")
    people, everywhere = people_of(spec), places()
    parts: dict[int, list[bytes]] = {part: [] for part in range(min(count, rng.choice((1, 2, 2, 3))))}
    last = len(parts) - 1
    own = count - 1 if hour == EXAMPLE_HOUR else count
    for index in range(own):
        line = json.dumps(_row(rng, spec, hour, people, everywhere), ensure_ascii=False, separators=(",", ":")).encode()
        parts[index % len(parts)].append(line)
        if rng.random() < spec.duplicates and b'"uuid":null' not in line:
            parts[last].append(line)
        if rng.random() < spec.broken_lines:
            parts[rng.randrange(len(parts))].append(rng.choice(_BROKEN))
    if hour == EXAMPLE_HOUR:
        parts[0].append(json.dumps(example_event(), ensure_ascii=False, separators=(",", ":")).encode())
    if hour.hour == 3:
        parts[0][0] = b"\xef\xbb\xbf" + parts[0][0]
        parts[0].append(b"")
    return parts


def _row(rng: random.Random, spec: SampleSpec, hour: datetime, people: tuple[Person, ...], everywhere: list[Place]) -> dict[str, Any]:
    person = people[int(len(people) * rng.random() ** 2)]
    which = rng.randrange(len(person.devices))
    device = person.devices[which]
    upload = hour + timedelta(seconds=rng.randrange(3600), microseconds=_fraction(rng, 0.05))
    happened = _event_time(rng, spec, upload)
    place = person.home if rng.random() < 0.95 else rng.choice(everywhere)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(_times(rng, happened, upload))
    row.update(_who(rng, spec, person, device, person.logins[which], happened))
    row.update(_where(device, place))
    row.update(_what(rng, happened))
    row["app"] = spec.project_id
    return row


def _event_time(rng: random.Random, spec: SampleSpec, upload: datetime) -> datetime:
    kind = rng.random()
    if kind < spec.wrong_clocks:
        return upload + timedelta(days=rng.randrange(2, 30), seconds=rng.randrange(86400))
    if kind < spec.wrong_clocks + spec.backdated:
        return upload - timedelta(seconds=rng.randrange(3600, 5 * 86400), microseconds=_fraction(rng, 0.2))
    return upload.replace(microsecond=_fraction(rng, 0.2)) - timedelta(seconds=rng.randrange(2, 90))


def _fraction(rng: random.Random, whole: float) -> int:
    return 0 if rng.random() < whole else rng.randrange(1, 1000) * 1000


def _times(rng: random.Random, happened: datetime, upload: datetime) -> dict[str, Any]:
    sent = upload - timedelta(milliseconds=rng.randrange(900, 1900))
    return {
        "event_time": str(happened),
        "client_event_time": str(happened),
        "client_upload_time": str(sent),
        "server_received_time": str(sent),
        "server_upload_time": str(upload),
        "processed_time": str(upload + timedelta(microseconds=rng.randrange(1, 5_000_000))),
    }


def _who(rng: random.Random, spec: SampleSpec, person: Person, device: Device, login: datetime, happened: datetime) -> dict[str, Any]:
    if rng.random() < spec.unidentified:
        return {"device_id": None, "amplitude_id": None, "user_id": rng.choice((None, "", person.guard))}
    known = person.user_id is not None and happened >= login
    return {
        "device_id": device.device_id,
        "amplitude_id": device.amplitude_id,
        "user_id": person.user_id if known else person.guard,
        "user_properties": {"plan": rng.choice(("free", "pro")), "gp plan": "x", "logged.in": True} if known else {},
    }


def _where(device: Device, place: Place) -> dict[str, Any]:
    return {
        "city": place.city,
        "region": place.region,
        "country": place.country,
        "dma": place.dma,
        "language": place.language,
        "location_lat": place.latitude,
        "location_lng": place.longitude,
        "platform": device.platform,
        "os_name": device.os_name,
        "os_version": device.os_version,
        "device_family": device.family,
        "device_type": device.model,
        "device_carrier": device.carrier,
        "library": device.library,
        "version_name": device.version,
        "start_version": device.version,
    }


def _what(rng: random.Random, happened: datetime) -> dict[str, Any]:
    kind, _, properties = rng.choices(_KINDS, _WEIGHTS)[0]
    bits = f"{rng.getrandbits(128):032x}"
    session = int((happened - _EPOCH).total_seconds()) * 1000 if rng.random() < 0.7 else -1
    return {
        "uuid": f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}" if rng.random() > 0.001 else None,
        "$insert_id": bits[:12],
        "event_id": rng.randrange(1, 10**9),
        "event_type": kind,
        "data_type": "event",
        "session_id": session,
        "event_properties": properties(rng),
        "groups": {},
        "group_properties": {},
        "data": {"path": "/2/httpapi", "group_ids": {}, "group_first_event": {}},
        "plan": {},
        "ip_address": f"192.0.2.{rng.randrange(1, 255)}",
        "paying": True if kind == "Order Completed" else None,
        "amplitude_attribution_ids": rng.choice((None, None, None, "attr-1", ["attr-1", "attr-2"])),
    }
