"""An export archive (a zip of gzip members) to attempts, one per upload hour."""

from __future__ import annotations

import re
import secrets
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from etl.clients.download import damaged_members
from etl.errors import DamagedDownload, DataError
from etl.landing.manifest import Landed, LoadId
from etl.landing.store import arriving, place
from etl.records import hour_text
from etl.windows import Window

STREAM = "amplitude_events"
_MEMBER = re.compile(r"_(\d{4}-\d{2}-\d{2})_(\d{1,2})#(\d+)\.json\.gz$")


@dataclass(frozen=True)
class Member:
    """A member of an archive, with the upload hour and the part that its name tells."""

    info: zipfile.ZipInfo
    hour: datetime
    part: int

    @property
    def name(self) -> str:
        return self.info.filename


def land_archive(
    landing: Path, archive: Path, scope: str, window: Window, scrub: Callable[[Landed], Landed] = lambda landed: landed
) -> tuple[list[Landed], dict[datetime, DamagedDownload]]:
    """Attempts for every hour of `window` that has members, on disk and complete, and the hours with damaged members.

    `scrub` takes out of each attempt what must not be kept, before it gets its place.

    Raises DataError for a member whose name tells no hour or an hour outside the window: nothing may be lost unseen.
    """
    members = read_members(archive, window)
    damaged = {line.split(":", 1)[0].strip(): line for line in damaged_members(archive)}
    landed: list[Landed] = []
    broken: dict[datetime, DamagedDownload] = {}
    for hour in sorted({member.hour for member in members}):
        of_hour = [member for member in members if member.hour == hour]
        bad = next((damaged[member.name] for member in of_hour if member.name in damaged), None)
        if bad is not None:
            broken[hour] = DamagedDownload(
                "a member of the export is damaged",
                where={"hour": hour_text(hour)},
                value=bad,
                next_step="run again: the hour is still open",
            )
            continue
        landed.append(_land_hour(landing, archive, scope, hour, of_hour, scrub))
    return landed, broken


def read_members(archive: Path, window: Window) -> list[Member]:
    """The event members by (hour, part). Folders and the marker files of S3 exports are passed over."""
    with zipfile.ZipFile(archive) as opened:
        infos = [info for info in opened.infolist() if not info.filename.endswith(("/", "_complete"))]
    members = [_read_name(info, window) for info in infos]
    return sorted(members, key=lambda member: (member.hour, member.part, member.name))


def empty_hours(landing: Path, scope: str, hours: list[datetime]) -> list[Landed]:
    """Attempts for hours that have no data."""
    found = []
    for hour in hours:
        attempt = secrets.token_hex(8)
        with arriving(landing, attempt) as folder:
            found.append(place(landing, Landed(load_id(scope, hour), attempt, folder, (), hour)))
    return found


def load_id(scope: str, hour: datetime) -> LoadId:
    """The load of an upload hour."""
    return LoadId(STREAM, scope, hour_text(hour))


def hour_of(unit: str) -> datetime:
    """The upload hour of a load's unit."""
    return datetime.strptime(unit + "+0000", "%Y-%m-%dT%H%z").astimezone(UTC)


def _read_name(info: zipfile.ZipInfo, window: Window) -> Member:
    name = info.filename
    found = _MEMBER.search(PurePosixPath(name).name)
    if found is None:
        raise DataError(
            "the export holds a member whose name tells no hour",
            where={"window": window},
            value=name,
            next_step="report this name; the hours stay open",
        )
    hour = datetime.strptime(found.group(1) + "+0000", "%Y-%m-%d%z").astimezone(UTC) + timedelta(hours=int(found.group(2)))
    if not window.start <= hour <= window.last_hour:
        raise DataError(
            "the export holds a member of another hour than asked for",
            where={"window": window},
            value=name,
            next_step="run again; if it stays, report it: the hours stay open",
        )
    return Member(info, hour, int(found.group(3)))


def _land_hour(
    landing: Path, archive: Path, scope: str, hour: datetime, members: list[Member], scrub: Callable[[Landed], Landed]
) -> Landed:
    attempt = secrets.token_hex(8)
    with arriving(landing, attempt) as folder, zipfile.ZipFile(archive) as opened:
        names = []
        size = 0
        for position, member in enumerate(members):
            name = PurePosixPath(member.name).name
            if name in names:
                name = f"{position}-{name}"
            names.append(name)
            with opened.open(member.info) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)
                size += target.tell()
        return place(landing, scrub(Landed(load_id(scope, hour), attempt, folder, tuple(names), hour, size)))
