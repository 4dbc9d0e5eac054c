"""Lakes of any number of people, and hours that touch some of them: what `hourly.py` measures on.

A day of the sample's people is imported and built for real; a stored person is one of them under other identifiers, and
stands in the lake as the fragments that a load would have left. So N people cost a copy of N rows, not N people's events.
"""

from __future__ import annotations

import gzip
import json
import random
import secrets
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.engines.sql import identifier
from etl.lake.attempts import file_name
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads
from etl.lake.tables import commit, files_of, schema_of, write_file
from etl.landing.archive import land_archive
from etl.landing.manifest import Landed, LoadId
from etl.landing.store import incoming, place
from etl.mapping import Mapping, load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.profiles.build import build_profiles
from etl.profiles.fields import ProfileField, StreamFields, of_mapping, remember
from etl.profiles.fragments import id_column, identity_of
from etl.profiles.merge import state_types, time_column
from etl.profiles.packing import state_query
from etl.profiles.stored import current_profiles
from etl.profiles.touched import columns_of
from etl.sandbox.data import SampleSpec, export_members
from etl.sandbox.people import GUARDS
from etl.settings import packaged_mappings
from etl.windows import Window

STREAM, SCOPE = "amplitude_events", "shop"
SPEC = SampleSpec(events=40_000, people=4_000, broken_lines=0)
FIRST_HOUR = datetime(2023, 3, 1, tzinfo=UTC)
_DAY = Window(datetime(2022, 11, 21, tzinfo=UTC), datetime(2022, 11, 22, tzinfo=UTC))
_BASE = date(2022, 12, 1)
_LOAD_PEOPLE = 250_000
# Added to a sample's amplitude id for each copy: no two copies share one.
_STEP = 10**12
# Microseconds: the copies of a person were seen at other times, within a month.
_SPREAD = 30 * 86400 * 10**6


def mapping() -> Mapping:
    return load_mapping(STREAM, [packaged_mappings()])


def make_sample(folder: Path) -> Lake:
    """The sample's people as a lake of their own."""
    lake = Lake(folder / "sample")
    lake.ensure_writable()
    archive = folder / "sample.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for (hour, part), lines in export_members(SPEC):
            data = gzip.compress(b"".join(line.rstrip(b"\n") + b"\n" for line in lines), 4)
            opened.writestr(f"123456/123456_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz", data)
    landed, _ = land_archive(lake.landing, archive, SCOPE, _DAY)
    ingest(Ingest(lake, mapping(), "shop-events"), landed)
    build_profiles(lake)
    return lake


def copies_of(sample: Lake, people: int) -> int:
    """How many copies of the sample's people come closest to so many."""
    return max(1, round(people / sum(file.rows for file in files_of(sample.profiles))))


def make_stored(sample: Lake, lake: Lake, people: int) -> None:
    """Loads that hold so many people, committed and not built."""
    lake.ensure_writable()
    fields = of_mapping(mapping())
    remember(lake, fields)
    copies = copies_of(sample, people)
    at_once = max(1, _LOAD_PEOPLE // (people // copies or 1))
    for number, start in enumerate(range(0, copies, at_once)):
        _add_load(sample, lake, fields, number, start, min(start + at_once, copies))


def _add_load(sample: Lake, lake: Lake, fields: StreamFields, number: int, start: int, end: int) -> None:
    day = _BASE + timedelta(days=number)
    load, attempt = LoadId(STREAM, SCOPE, f"{day}T00"), secrets.token_hex(8)
    with lake.workspace() as (connection, _):
        source = current_profiles(sample)
        assert source is not None
        state = ", ".join(state_query("s", fields.fields, columns_of(connection, source)))
        connection.execute(
            f"""CREATE TEMP VIEW people AS SELECT profile_id, first_seen, last_seen, _records, {state},
                list_filter(_identifiers, lambda i: i.namespace = 'amplitude_user_id')[1].value AS _user,
                list_transform(list_filter(_identifiers, lambda i: i.namespace = 'amplitude_id'), lambda i: i.value) AS _devices
            FROM {source} s"""
        )
        user, device = "_user || '-' || copy", f"CAST(CAST(device AS BIGINT) + copy * {_STEP} AS VARCHAR)"
        # A person's state stands in the fragment of their first device; those of the others only name them.
        values = {column: sql for field in fields.fields for column, sql in _varied(field).items()}
        once = [f"CASE WHEN n = 1 THEN {sql} END AS {column}" for column, sql in values.items()]
        columns = ["first_seen - earlier AS _first", "last_seen - earlier AS _last", *once]
        ids = f"{user} AS {id_column('amplitude_user_id')}, {device} AS {id_column('amplitude_id')}"
        listed = "coalesce(nullif(_devices, []), [NULL])"
        rows = f"""SELECT *, unnest({listed}) AS device, generate_subscripts({listed}, 1) AS n,
            to_microseconds(CAST(hash(profile_id, copy) % {_SPREAD} AS BIGINT)) AS earlier
            FROM people, (SELECT unnest(range({start}, {end})) AS copy)"""
        own = f"SELECT {', '.join(columns)}, CASE WHEN n = 1 THEN _records ELSE 1 END AS _records, {ids} FROM ({rows})"
        labels = f"'{load}' AS load, '{attempt}' AS _attempt"
        query = f"SELECT *, {identity_of(fields.by)} AS _identity, {labels} FROM ({own})"
        table = lake.fragments(STREAM)
        file = write_file(connection, query, table, {"date": day.isoformat()}, file_name(str(load), attempt))
        assert file is not None
        commit(table, schema_of(connection, query, table), add=[file])
    commit_loads(lake, [_load(load, attempt, day, file.rows, fields.fingerprint)], lambda new, old: True)


def _varied(field: ProfileField) -> dict[str, str]:
    """SQL for the state of a field of a person's copy: other times, and other values where no two people have the same."""
    name, time = identifier(field.name), time_column(field)
    found = {column: column for column in state_types(field)}
    if field.kind.name == "date":
        found[name] = f"{name} - earlier"
    if field.name in ("amplitude_device_id", "amplitude_insert_id", "amplitude_id", "amplitude_user_id"):
        found[name] = f"{name} || '-' || copy"
    if time and field.kind.is_map:
        found[time] = f"map(map_keys({time}), list_transform(map_values({time}), lambda e: e - earlier))"
    elif time:
        found[time] = f"{time} - earlier"
    return found


def _load(load: LoadId, attempt: str, day: date, count: int, fingerprint: str) -> Load:
    time = datetime(day.year, day.month, day.day, tzinfo=UTC)
    # fmt: off
    return Load(
        load=str(load), stream=load.stream, scope=load.scope, unit=load.unit, attempt=attempt, date=day, time=time, lines=count,
        records=count, rows=count, duplicates=0, rejects=0, unidentified=0, early=0, bytes=0, digest=attempt, mapping=fingerprint,
        job="shop-events", misfits="{}", details="{}", committed_at=time,
    )
    # fmt: on


@dataclass(frozen=True)
class Hour:
    """Which people an hour touches: `touched` in all, of which a tenth is new, and one in a hundred turns out to own the
    device of somebody who was nobody's so far. `copies` are those that are stored."""

    number: int
    touched: int
    copies: int


def import_hour(sample: Lake, lake: Lake, hour: Hour) -> int:
    """Imports an hour of new events; how many."""
    time = FIRST_HOUR + timedelta(hours=hour.number)
    text = "".join(json.dumps(event) + "\n" for event in _events(_sample_events(sample), hour, time))
    attempt = secrets.token_hex(8)
    folder = incoming(lake.landing, attempt)
    (folder / "0.json").write_text(text, encoding="utf-8")
    load = LoadId(STREAM, SCOPE, time.strftime("%Y-%m-%dT%H"))
    landed = place(lake.landing, Landed(load, attempt, folder, ("0.json",), time, size=len(text) // 12))
    return ingest(Ingest(lake, mapping(), "shop-events"), [landed]).rows


def _sample_events(sample: Lake) -> dict[int, list[dict[str, Any]]]:
    """The sample's events by Amplitude id."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with zipfile.ZipFile(sample.root.parent / "sample.zip") as opened:
        for name in opened.namelist():
            for line in gzip.decompress(opened.read(name)).strip(b"\n").split(b"\n"):
                event = json.loads(line)
                if event.get("amplitude_id"):
                    found[event["amplitude_id"]].append(event)
    return found


def _events(by_device: dict[int, list[dict[str, Any]]], hour: Hour, time: datetime) -> list[dict[str, Any]]:
    rng = random.Random(f"hour {hour.number}")
    devices = sorted(by_device)
    named = [device for device in devices if any(_is_user(one) for one in by_device[device])]
    unnamed = [device for device in devices if device not in set(named)]
    made = []
    for n in range(hour.touched):
        new = n % 10 == 0
        copy = hour.copies + hour.number * 1000 + rng.randrange(1000) if new else rng.randrange(hour.copies)
        device = rng.choice(named if n % 100 == 1 else devices)
        for event in rng.sample(by_device[device], k=min(len(by_device[device]), rng.choice((1, 1, 1, 2)))):
            made += [_event(event, copy, time + timedelta(seconds=rng.randrange(3600)), rng)]
        if n % 100 == 1:
            # Known already, but on a device that was nobody's until now.
            event = rng.choice([one for one in by_device[device] if _is_user(one)])
            taken = _event(event, copy, time + timedelta(seconds=rng.randrange(3600)), rng)
            made.append(taken | {"amplitude_id": rng.choice(unnamed) + rng.randrange(hour.copies) * _STEP})
    return made


def _is_user(event: dict[str, Any]) -> bool:
    return str(event.get("user_id") or "null") not in GUARDS


def _event(event: dict[str, Any], copy: int, moment: datetime, rng: random.Random) -> dict[str, Any]:
    """The event of a copy of its person, at another time."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    token = f"{rng.getrandbits(128):032x}"
    times = {name: text for name in event if name.endswith("_time") and event[name]}
    user = f"{event['user_id']}-{copy}" if _is_user(event) else event.get("user_id")
    return event | times | {"user_id": user, "amplitude_id": event["amplitude_id"] + copy * _STEP, "uuid": token, "$insert_id": token}
