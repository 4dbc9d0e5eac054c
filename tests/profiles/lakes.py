"""Lakes for tests: loads from records in memory, and profiles read back in the reference's form."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.engines.local import rows
from etl.lake.layout import Lake
from etl.lake.tables import files_of, relation, transaction_of
from etl.landing.manifest import Landed, LoadId
from etl.landing.store import incoming, place
from etl.mapping import Mapping, load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.profiles.published import published_query
from etl.profiles.stored import current_identifiers, current_profiles
from tests.profiles.reference import SMALL, Link, Profile, Spec

START = datetime(2024, 3, 1, tzinfo=UTC)

MAPPING = """
stream: amplitude_events
time: time
key: key
by: [user, device]
fields:
  - {field: user, from: user, kind: string}
  - {field: device, from: device, kind: string}
  - {field: city, from: city, kind: string}
  - {field: props, from: 'match("props.")', kind: 'map[string]string'}
  - {field: counts, from: valuect(type), kind: 'map[string]intsum'}
"""


def mapping_in(folder: Path) -> Mapping:
    path = folder / "small.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return load_mapping(str(path), [])


def mapping_text(stream: str, by: Sequence[str], specs: Sequence[Spec]) -> str:
    """A mapping with these fields."""
    text = f"stream: {stream}\ntime: time\nkey: key\nby: [{', '.join(by)}]\nfields:\n"
    fields = [{"field": name, "from": name, "kind": "string"} for name in by]
    for spec in specs:
        source = f'match("{spec.source}.")' if spec.kind.startswith("map[") else spec.source
        field = {"field": spec.name, "from": source, "kind": spec.kind, "merge": spec.merge}
        fields.append(field | ({"capacity": spec.capacity} if spec.capacity else {}))
    return text + "".join(f"  - {json.dumps(field)}\n" for field in fields)


def land(lake: Lake, hour: int, records: list[dict[str, Any]], stream: str = "amplitude_events") -> Landed:
    """An attempt of the upload hour number `hour`."""
    attempt = secrets.token_hex(8)
    time = START + timedelta(hours=hour)
    folder = incoming(lake.landing, attempt)
    text = "".join(json.dumps(record | {"time": (START + timedelta(seconds=record["time"])).isoformat()}) + "\n" for record in records)
    (folder / "0.json").write_text(text, encoding="utf-8")
    load = LoadId(stream, "shop", time.strftime("%Y-%m-%dT%H"))
    details = {"cohort_id": "c1", "cohort_name": "Buyers"} if stream == "amplitude_cohorts" else {}
    return place(lake.landing, Landed(load, attempt, folder, ("0.json",), time, size=len(text), details=details))


def load(lake: Lake, mapping: Mapping, hours: dict[int, list[dict[str, Any]]]) -> None:
    """Loads hours, replacing whatever they held."""
    ingest(Ingest(lake, mapping, "job", force=True), [land(lake, hour, records) for hour, records in hours.items()])


def read(lake: Lake, specs: Sequence[Spec] = SMALL) -> dict[str, Profile]:
    """The published profiles as the reference has them."""
    source = current_profiles(lake)
    if source is None:
        return {}
    with lake.workspace() as (connection, _):
        found = rows(
            connection,
            f"""SELECT p.*, s._identifiers, s._records FROM ({published_query(lake)}) p
            JOIN (SELECT profile_id, _identifiers, _records FROM {source}) s USING (profile_id)""",
        )
    return {row["profile_id"]: _profile(row, specs) for row in found}


def read_identifiers(lake: Lake) -> dict[tuple[str, str], str]:
    """The table `identifiers`."""
    source = current_identifiers(lake)
    with lake.workspace() as (connection, _):
        found = rows(connection, f"SELECT namespace, value, profile_id FROM {source}") if source else []
    return {(row["namespace"], row["value"]): row["profile_id"] for row in found}


def read_conflicts(lake: Lake) -> list[Link]:
    """Every link not followed."""
    source = relation(lake.conflicts, (file.path for file in files_of(lake.conflicts)))
    with lake.workspace() as (connection, _):
        found = rows(connection, f"SELECT * FROM {source}") if source else []
    return [((row["left_namespace"], row["left_value"]), (row["right_namespace"], row["right_value"])) for row in found]


def read_repeated(lake: Lake) -> set[tuple[str, str]]:
    """Load and key of every record whose key stands in more than one load."""
    build = transaction_of(lake.profiles, "build") or 0
    source = relation(lake.repeated, (file.path for file in files_of(lake.repeated)))
    with lake.workspace() as (connection, _):
        found = rows(connection, f"SELECT load, key FROM {source} WHERE build = {build}") if source else []
    assert len(found) == len({(row["load"], row["key"]) for row in found})
    return {(row["load"], row["key"]) for row in found}


def _profile(row: dict[str, Any], specs: Sequence[Spec]) -> Profile:
    return Profile(
        id=row["profile_id"],
        identifiers={(one["namespace"], one["value"]) for one in row["_identifiers"]},
        first=int((row["first_seen"] - START).total_seconds()),
        last=int((row["last_seen"] - START).total_seconds()),
        records=row["_records"],
        fields={spec.name: plain(spec, row.get(spec.name)) for spec in specs},
    )


def plain(spec: Spec, value: Any) -> Any:
    """A value as the reference has it; an absent map or list is empty."""
    return dict(value or []) if spec.kind.startswith("map[") else list(value or []) if "[]" in spec.kind else value
