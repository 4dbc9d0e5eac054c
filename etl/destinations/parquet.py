"""The destination `parquet`: a folder that holds exactly the current profiles, replaced as a whole; events beside it.

A folder's path is a link to a versioned folder beside it; loading writes a new one and swaps the link in one rename.
Whoever has the old one open reads it to the end: the version before the current one is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl.destinations.beside import NOTHING, Beside
from etl.destinations.events import Events, current_events
from etl.destinations.memberships import NAME as MEMBERSHIPS
from etl.destinations.memberships import Memberships, current_memberships
from etl.engines.local import Connection
from etl.engines.sql import quote
from etl.errors import ConfigurationError
from etl.lake.attempts import file_name
from etl.lake.layout import Lake
from etl.lake.tables import new_token, transaction_of
from etl.profiles.versions import Version, current_version
from etl.reports import LoadReport

_STATE = "_profilemill.json"
_PREVIOUS = "previous"

# What filling a folder returned, None where there was nothing to do; old versions that could not be removed.
_Published = tuple[int | None, tuple[str, ...]]


def load_parquet(lake: Lake, name: str, path: Path, events: bool = False, beside: Beside = NOTHING) -> LoadReport:
    """Makes the folder at `path` hold the published profiles and, with `events`, the folder `<path>_<stream>` the mapped
    events of each stream; `beside` tells what else. Does nothing where they hold them already."""
    version = current_version(lake)
    state = {"profiles": version.source, "build": version.build}
    written, left = _publish(name, path, state, version.build, lambda folder: _write_profiles(lake, version, folder))
    added = 0
    for one in current_events(lake) if events or beside.erasing else ():
        folder = beside_path(path, one.stream)
        if events or folder.is_symlink():
            count, more = _load_events(name, folder, one if events else one.only(_state_of(folder).get("loads", {})))
            added, left = added + (count or 0), left + more
    members, folder = 0, beside_path(path, MEMBERSHIPS)
    if beside.memberships or (beside.erasing and folder.is_symlink()):
        count, more = _load_memberships(name, folder, current_memberships(lake))
        members, left = count or 0, left + more
    return LoadReport(name, written or 0, 0, written is not None, str(path), events=added, left=left, memberships=members)


def _write_profiles(lake: Lake, version: Version, folder: Path) -> int:
    with lake.workspace() as (connection, _):
        ordered = f"SELECT * FROM ({version.profiles}) ORDER BY profile_id"
        return _write(connection, ordered, folder / "profiles.parquet")


def _load_events(name: str, path: Path, events: Events) -> _Published:
    """Publishes a file per load below `date=..`; files of loads that are as before are hard links to those before."""
    held = _state_of(path) if path.is_symlink() else {}
    fields = {field.name: field.kind_name for field in events.fields}
    # All files have the same columns, so a new field writes them all anew.
    before = path.resolve() if held.get("fields") == fields else None
    # A load that is just being replaced stays as it is until the next time.
    kept = {load: attempt for load, attempt in held.get("loads", {}).items() if before and load in events.replaced}
    state = {"fields": fields, "loads": kept | {load.load: load.attempt for load in events.loads.values()}}
    number = max((load.sequence for load in events.loads.values()), default=0)
    return _publish(name, path, state, number, lambda folder: _write_events(events, folder, before, kept))


def _load_memberships(name: str, path: Path, memberships: Memberships) -> _Published:
    """Publishes the lake's memberships, in one file."""

    def fill(folder: Path) -> int:
        with memberships.lake.workspace() as (connection, _):
            ordered = f"SELECT * FROM ({memberships.query(memberships.files)}) ORDER BY ALL"
            return _write(connection, ordered, folder / f"{MEMBERSHIPS}.parquet")

    number = transaction_of(memberships.lake.cohort_memberships, "loads") or 0
    return _publish(name, path, {"files": list(memberships.files), "columns": list(memberships.columns)}, number, fill)


def _write_events(events: Events, folder: Path, before: Path | None, kept: dict[str, str]) -> int:
    count = 0
    with events.lake.workspace() as (connection, _):
        for load in (load for load in events.loads.values() if load.rows):
            target = folder / f"date={load.date}" / f"{file_name(load.load, load.attempt)}.parquet"
            if before is None or not _link(before / target.relative_to(folder), target):
                target.parent.mkdir(exist_ok=True)
                count += _write(connection, f"SELECT * EXCLUDE (date) FROM ({events.query([load.load])})", target)
    for name, attempt in kept.items():
        for file in before.glob(f"date=*/{file_name(name, attempt)}.parquet") if before else ():
            _link(file, folder / file.parent.name / file.name)
    return count


def _link(file: Path, target: Path) -> bool:
    """The same file under another name, a copy where the file system has no hard links; False where there is no file."""
    if not file.exists():
        return False
    target.parent.mkdir(exist_ok=True)
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)
    return True


def _write(connection: Connection, query: str, target: Path) -> int:
    return int(connection.execute(f"COPY ({query}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd)").fetchone()[0])


def _publish(name: str, path: Path, state: dict[str, Any], number: int, fill: Callable[[Path], int]) -> _Published:
    """Makes `path` lead to a folder that `fill` filled, and returns what it returned; None where it has that state."""
    _refuse_foreign(name, path)
    held = _state_of(path) if path.is_symlink() else {}
    told, previous = _PREVIOUS in held, held.pop(_PREVIOUS, None)
    if held == state:
        # Of folders made before this was written down nobody knows which one is the version before.
        return None, _remove_old(path, {path.resolve().name, previous}) if told else ()
    folder = path.with_name(f"{path.name}.v{number:06d}-{new_token()}")
    try:
        folder.mkdir(parents=True)
        count = fill(folder)
        previous = path.resolve().name if path.is_symlink() else None
        (folder / _STATE).write_text(json.dumps(state | {_PREVIOUS: previous}), encoding="utf-8")
        link = path.with_name(f".{path.name}.{new_token()}")
        link.symlink_to(folder.name)
        link.replace(path)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ConfigurationError(
            "the destination cannot be written",
            where={"destination": name},
            value=f"{path}: {error.strerror or error}",
            next_step="correct its path or the folder's permissions",
        ) from error
    return count, _remove_old(path, {folder.name, previous})


def beside_path(path: Path, what: str) -> Path:
    """Where the events of a stream, or the memberships, stand beside the profiles at `path`."""
    return path.with_name(f"{path.name}_{what}")


def drop_previous(path: Path) -> tuple[str, ...]:
    """Removes every version but the current one, for readers too that have the one before still open; returns what could
    not be removed."""
    return _remove_old(path, {path.resolve().name}) if path.is_symlink() else ()


def _state_of(path: Path) -> dict[str, Any]:
    """What the folder tells of itself; nothing where it cannot be read."""
    try:
        found = json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_foreign(name: str, path: Path) -> None:
    """Anything at `path` that is not our link stays untouched, but for an empty folder."""
    if not os.path.lexists(path) or path.is_symlink():
        return
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        return
    raise ConfigurationError(
        "the destination's path is taken by something that Profilemill did not write",
        where={"destination": name},
        value=str(path),
        next_step="choose another path, or move it away",
    )


def _remove_old(path: Path, keep: set[str | None]) -> tuple[str, ...]:
    """Removes other versions, and returns those that could not be, with the reason."""
    left = []
    for old in sorted(path.parent.glob(f"{path.name}.v*-*")):
        if old.name not in keep and old.is_dir() and not old.is_symlink():
            try:
                shutil.rmtree(old)
            except FileNotFoundError:  # somebody was faster
                continue
            except OSError as error:
                left.append(f"{old}: {error.strerror or error}")
    return tuple(left)
