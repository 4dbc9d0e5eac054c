"""What the sandbox has to give, invented from a spec or read from a folder: export members by hour, and cohorts."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError
from etl.sandbox.answers import Answers
from etl.sandbox.data import Cohort, cohorts, gzip_bytes, listed_entry, member_name
from etl.sandbox.events import events_per_hour, hour_lines
from etl.sandbox.people import SampleSpec

_MEMBER = re.compile(r"(?P<project>.+)_(?P<date>\d{4}-\d{2}-\d{2})_(?P<hour>\d{1,2})#(?P<part>\d+)\.json\.gz")
_PLAIN_COLUMNS = ("amplitude_id", "user_id")


@dataclass(frozen=True)
class Member:
    """One file of an export archive: its name there and its gzip bytes."""

    name: str
    content: bytes


class Store:
    """Members and cohorts, with what was added to them since; safe to use from several threads.

    Hours are naive UTC. What is added to an hour becomes one more part of it.
    """

    def __init__(
        self,
        project: str,
        hours: Iterable[datetime],
        load: Callable[[datetime], tuple[Member, ...]],
        every: list[Cohort],
    ) -> None:
        self._lock = threading.RLock()
        self.project = project
        self._hours = set(hours)
        self._load = load
        self._added: dict[datetime, list[bytes]] = {}
        self._cohorts = {cohort.entry["id"]: cohort for cohort in every}

    def members(self, start: datetime, end: datetime) -> Iterator[Member]:
        """The members of the upload hours from `start` to `end`, both included, in order, one hour at a time."""
        for hour in self._between(start, end):
            yield from self._of_hour(hour)

    def add_events(self, events: Iterable[dict[str, Any]]) -> int:
        """Appends each event to the hour of its `server_upload_time`; ValueError and no change where one has none."""
        lines = [(_upload_hour(event), json.dumps(event, ensure_ascii=False).encode()) for event in events]
        with self._lock:
            for hour, line in lines:
                self._added.setdefault(hour, []).append(line)
        return len(lines)

    def cohorts(self) -> list[Cohort]:
        """The cohorts that are there now."""
        with self._lock:
            return list(self._cohorts.values())

    def cohort(self, cohort_id: str) -> Cohort | None:
        with self._lock:
            return self._cohorts.get(cohort_id)

    def events(self, *needles: str) -> Iterator[dict[str, Any]]:
        """Every exported event once, in the order of the hours; with `needles` at least those that hold one as a text."""
        wanted = [json.dumps(needle, ensure_ascii=False)[1:-1].encode() for needle in needles]
        wanted = [] if any(not needle.isascii() for needle in needles) else wanted  # it may be written with escapes
        for hour in self._between():
            seen: set[str] = set()
            for line in self._lines(hour):
                if wanted and not any(needle in line for needle in wanted):
                    continue
                event = _object(line)
                if event is None or event.get("uuid") in seen:
                    continue
                if event.get("uuid"):
                    seen.add(event["uuid"])
                yield event

    def known_people(self) -> list[tuple[int, str | None]]:
        """(amplitude_id, user_id) of every member of a cohort that has a number."""
        found = []
        for cohort in self.cohorts():
            if cohort.header[:2] == _PLAIN_COLUMNS:
                found += [(int(row[0]), row[1] or None) for row in cohort.rows if len(row) > 1 and row[0].isdecimal()]
        return found

    def change_cohort(self, cohort_id: str, change: dict[str, Any]) -> Cohort | None:
        """Makes, changes or (`{"delete": true}`) removes a cohort; None once removed.

        `members` is a list of objects by column name. Other keys replace those of the listed entry. New members set
        `size` and move `lastComputed` on by an hour, unless the change itself says otherwise.
        """
        with self._lock:
            if change.get("delete"):
                self._cohorts.pop(cohort_id, None)
                return None
            new = Cohort(listed_entry(cohort_id, cohort_id, 0, 1_700_000_000, 0), _PLAIN_COLUMNS, ())
            cohort = self._cohorts.get(cohort_id, new)
            entry = dict(cohort.entry)
            if "members" in change:
                columns = dict.fromkeys((*cohort.header, *(name for row in change["members"] for name in row)))
                rows = tuple(tuple(_cell(row.get(name)) for name in columns) for row in change["members"])
                entry |= {"size": len(rows), "lastComputed": entry["lastComputed"] + 3600}
                cohort = Cohort(entry, tuple(columns), rows)
            entry |= {key: value for key, value in change.items() if key not in ("members", "id", "delete")}
            self._cohorts[cohort_id] = replace(cohort, entry=entry)
            return self._cohorts[cohort_id]

    def answers(self, *, events: bool = True, members: bool = True) -> dict[str, Any]:
        """What importing everything that is there now must come to."""
        collected = Answers()
        for hour in self._between() if events else ():
            for member in self._of_hour(hour):
                collected.add_lines(hour, gzip.decompress(member.content).split(b"\n"))
        for cohort in self.cohorts() if members else ():
            collected.add_cohort(cohort.entry, list(cohort.header), (list(row) for row in cohort.rows))
        return collected.result()

    def _between(self, start: datetime | None = None, end: datetime | None = None) -> list[datetime]:
        with self._lock:
            every = self._hours | set(self._added)
        return sorted(hour for hour in every if (start or hour) <= hour <= (end or hour))

    def _lines(self, hour: datetime) -> Iterator[bytes]:
        with self._lock:
            added = list(self._added.get(hour, ()))
        for member in self._load(hour) if hour in self._hours else ():
            yield from gzip.decompress(member.content).split(b"\n")
        yield from added

    def _of_hour(self, hour: datetime) -> tuple[Member, ...]:
        with self._lock:
            added = list(self._added.get(hour, ()))
        found = self._load(hour) if hour in self._hours else ()
        if not added:
            return found
        taken = {member.name for member in found}
        names = (member_name(self.project, hour, part) for part in range(len(found), 2 * len(found) + 1))
        return (*found, Member(next(name for name in names if name not in taken), gzip_bytes(added)))


def sample_store(spec: SampleSpec) -> Store:
    """The sample of a spec, made hour by hour when first asked for."""
    counts = {hour: count for hour, count in events_per_hour(spec).items() if count}

    @lru_cache(maxsize=256)
    def load(hour: datetime) -> tuple[Member, ...]:
        parts = hour_lines(spec, hour, counts[hour])
        return tuple(Member(member_name(spec.project_id, hour, part), gzip_bytes(lines)) for part, lines in parts.items())

    return Store(str(spec.project_id), counts, load, cohorts(spec))


def folder_store(directory: Path) -> Store:
    """The files `export/<project>/<project>_<date>_<H>#<n>.json.gz`, `cohorts.json`, `cohorts/<id>.csv` of a folder."""
    if not directory.is_dir():
        raise ConfigurationError("the data folder of the sandbox does not exist", value=str(directory))
    files: dict[datetime, list[tuple[int, str, Path]]] = {}
    project = "0"
    for path in sorted((directory / "export").glob("*/*.json.gz")):
        match = _MEMBER.fullmatch(path.name)
        if match is None or match["project"] != path.parent.name or int(match["hour"]) > 23:
            raise ConfigurationError(
                "a file of the data folder is not named <project>/<project>_<date>_<H>#<n>.json.gz",
                value=f"{path.parent.name}/{path.name}",
            )
        project = path.parent.name
        hour = datetime.fromisoformat(match["date"]).replace(hour=int(match["hour"]))
        files.setdefault(hour, []).append((int(match["part"]), f"{project}/{path.name}", path))

    def load(hour: datetime) -> tuple[Member, ...]:
        return tuple(Member(name, path.read_bytes()) for _, name, path in sorted(files[hour]))

    return Store(project, files, load, _folder_cohorts(directory))


def _folder_cohorts(directory: Path) -> list[Cohort]:
    listing = directory / "cohorts.json"
    if not listing.exists():
        return []
    body = json.loads(listing.read_text("utf-8"))
    found = []
    for entry in body["cohorts"] if isinstance(body, dict) else body:
        path = directory / "cohorts" / f"{entry['id']}.csv"
        text = path.read_text("utf-8") if path.exists() else '"amplitude_id","user_id"\n'
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        found.append(Cohort(entry, tuple(header), tuple(tuple(row) for row in rows)))
    return found


def _upload_hour(event: dict[str, Any]) -> datetime:
    if not isinstance(event, dict) or not event.get("server_upload_time"):
        raise ValueError("an event must be an object with server_upload_time")
    when = datetime.fromisoformat(str(event.get("server_upload_time")))
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return when.replace(minute=0, second=0, microsecond=0)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cell(value: object) -> str:
    return "" if value is None else str(value)
