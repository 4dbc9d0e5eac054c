"""The destination `parquet`: a folder that holds exactly the current profiles, replaced as a whole.

The folder's path is a link to a versioned folder beside it; loading writes a new one and swaps the link in one rename.
Whoever has the old one open reads it to the end: the version before the current one is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from etl.engines.sql import quote
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.tables import new_token, transaction_of
from etl.profiles.published import published_query
from etl.reports import LoadReport

_STATE = "_profilemill.json"


def load_parquet(lake: Lake, name: str, path: Path) -> LoadReport:
    """Makes the folder at `path` hold the published profiles. Does nothing where it holds them already."""
    build = {"profiles": _table_id(lake), "build": transaction_of(lake.profiles, "build") or 0}
    _refuse_foreign(name, path)
    if path.is_symlink() and _state_of(path) == build:
        return LoadReport(name, 0, 0, False, str(path))
    folder = path.with_name(f"{path.name}.v{build['build']:06d}-{new_token()}")
    try:
        folder.mkdir(parents=True)
        with lake.workspace() as (connection, _):
            target = quote(str(folder / "profiles.parquet"))
            ordered = f"SELECT * FROM ({published_query(lake)}) ORDER BY profile_id"
            count = connection.execute(f"COPY ({ordered}) TO {target} (FORMAT parquet, COMPRESSION zstd)").fetchone()[0]
        (folder / _STATE).write_text(json.dumps(build), encoding="utf-8")
        previous = path.resolve().name if path.is_symlink() else None
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
    _remove_old(path, {folder.name, previous})
    return LoadReport(name, int(count), 0, True, str(path))


def drop_previous(path: Path) -> None:
    """Removes every version but the current one, for readers too that have the one before still open."""
    if path.is_symlink():
        _remove_old(path, {path.resolve().name})


def _table_id(lake: Lake) -> str:
    opened = lake.profiles.open()
    return "" if opened is None else str(opened.metadata().id)


def _state_of(path: Path) -> object:
    try:
        return json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


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


def _remove_old(path: Path, keep: set[str | None]) -> None:
    for old in path.parent.glob(f"{path.name}.v*-*"):
        if old.name not in keep and old.is_dir() and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
