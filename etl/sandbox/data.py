"""Seeded sample data at any size, with the right answers: `SampleSpec` in; export members, cohorts and answers out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.sandbox.answers import Answers
from etl.sandbox.events import events_per_hour, hour_lines
from etl.sandbox.people import Device, Person, SampleSpec, people_of

__all__ = [
    "Cohort",
    "SampleSpec",
    "answers",
    "cohorts",
    "csv_bytes",
    "export_members",
    "gzip_bytes",
    "member_name",
    "write_data",
]

# fmt: off
MEMBER_COLUMNS = (
    "amplitude_id", "user_id", "version", "country", "city", "region", "dma", "language", "platform", "os",
    "device", "device_type", "start_version", "carrier", "library",
)
# fmt: on
_NAMES = ("Weekly actives", "Everybody", "Buyers, 30 days", 'The "été" list')


@dataclass(frozen=True)
class Cohort:
    """A cohort as listed (`entry`) and its file with every column; the first two columns are the identifiers."""

    entry: dict[str, Any]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def export_members(spec: SampleSpec) -> Iterator[tuple[tuple[datetime, int], list[bytes]]]:
    """`((upload hour in UTC, part), raw lines)` in order, made hour by hour; `dict()` of it holds everything."""
    for hour, count in events_per_hour(spec).items():
        for part, lines in hour_lines(spec, hour, count).items():
            yield (hour.replace(tzinfo=UTC), part), lines


def cohorts(spec: SampleSpec) -> list[Cohort]:
    """The cohorts of a spec; their `lastComputed` lies after the window, the second one holds everybody."""
    return [_cohort(spec, index) for index in range(spec.cohorts)]


def answers(spec: SampleSpec, *, events: bool = True, members: bool = True) -> dict[str, Any]:
    """What importing the whole sample must come to; `members=False` leaves cohorts out, `events=False` events."""
    collected = Answers()
    if events:
        for (hour, _), lines in export_members(spec):
            collected.add_lines(hour.replace(tzinfo=None), lines)
    if members:
        for cohort in cohorts(spec):
            collected.add_cohort(cohort.entry, list(cohort.header), (list(row) for row in cohort.rows))
    return collected.result()


def write_data(spec: SampleSpec, directory: Path) -> dict[str, Any]:
    """Writes the sample as a folder that `--data` serves, with `answers.json` beside it; returns the answers."""
    collected = Answers()
    folder = directory / "export" / str(spec.project_id)
    folder.mkdir(parents=True, exist_ok=True)
    for (hour, part), lines in export_members(spec):
        collected.add_lines(hour.replace(tzinfo=None), lines)
        (directory / "export" / member_name(spec.project_id, hour, part)).write_bytes(gzip_bytes(lines))
    (directory / "cohorts").mkdir(exist_ok=True)
    every = cohorts(spec)
    for cohort in every:
        collected.add_cohort(cohort.entry, list(cohort.header), (list(row) for row in cohort.rows))
        (directory / "cohorts" / f"{cohort.entry['id']}.csv").write_bytes(csv_bytes(cohort.header, cohort.rows))
    _write_json(directory / "cohorts.json", {"cohorts": [cohort.entry for cohort in every]})
    result = collected.result()
    _write_json(directory / "answers.json", result)
    return result


def member_name(project_id: int | str, hour: datetime, part: int) -> str:
    """`123456/123456_2024-03-02_5#0.json.gz`: the hour is not padded."""
    return f"{project_id}/{project_id}_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz"


def gzip_bytes(lines: list[bytes]) -> bytes:
    """The lines, each ended by a newline, as gzip; equal lines give equal bytes."""
    return gzip.compress(b"".join(line + b"\n" for line in lines), compresslevel=4, mtime=0)


def csv_bytes(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> bytes:
    """A cohort file: every field quoted, lines ended by CR LF, UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _cohort(spec: SampleSpec, index: int) -> Cohort:
    rng = random.Random(f"cohort/{spec.seed}/{index}")
    people = people_of(spec)
    share = 1.0 if index == 1 else rng.uniform(0.05, 0.3)
    rows: dict[int, tuple[str, ...]] = {}
    for person in people:
        if rng.random() < share:
            for device in person.devices:
                rows.setdefault(device.amplitude_id, _member(person, device))
    computed = int((spec.first_hour + timedelta(hours=spec.hours + 1, minutes=7 * index)).timestamp())
    letters = "".join(rng.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(7))
    name = _NAMES[index] if index < len(_NAMES) else f"Cohort {index + 1}"
    return Cohort(listed_entry(letters, name, len(rows), computed, spec.project_id), MEMBER_COLUMNS, tuple(rows.values()))


def listed_entry(cohort_id: str, name: str, size: int, computed: int, project_id: int) -> dict[str, Any]:
    """One entry of the cohort list, every field there, nulls included; times are epoch seconds."""
    return {
        "id": cohort_id,
        "name": name,
        "description": None,
        "appId": project_id,
        "size": size,
        "type": "redshift",
        "lastComputed": computed,
        "lastMod": computed - 3600,
        "createdAt": computed - 90 * 86400,
        "archived": False,
        "published": True,
        "hidden": False,
        "finished": True,
        "owners": ["ana@example.com"],
        "viewers": [],
        "definition": {
            "version": 3,
            "countGroup": {"name": "User", "is_computed": False},
            "cohortType": "UNIQUES",
            "andClauses": [],
        },
        "is_predictive": False,
        "is_official_content": False,
        "metadata": None,
        "view_count": None,
        "popularity": None,
        "last_viewed": None,
        "chart_id": None,
        "edit_id": None,
        "location_id": None,
        "shortcut_ids": [],
    }


def _member(person: Person, device: Device) -> tuple[str, ...]:
    place = person.home
    cells = (
        str(device.amplitude_id),
        person.user_id,
        device.version,
        place.country,
        place.city,
        place.region,
        place.dma,
        place.language,
        device.platform,
        device.os_name,
        device.model,
        device.model,
        device.version,
        device.carrier,
        device.library,
    )
    return tuple(cell or "" for cell in cells)
