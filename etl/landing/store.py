"""The landing folder: exactly what arrived. An attempt appears by one rename; nothing half-written has its name.

::

    landing/<stream>/<scope>/<unit>/<attempt>/manifest.json + raw files
    landing/.incoming/<attempt>/                               on its way; stale ones are removed
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from etl.durable import sync_path
from etl.landing.manifest import Landed
from etl.leftovers import own_name

INCOMING = ".incoming"


def incoming(landing: Path, name: str) -> Path:
    """A new folder for something on its way; its name tells the process, so that leftovers can be told."""
    folder = landing / INCOMING / own_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def arriving(landing: Path, name: str) -> Iterator[Path]:
    """A folder for something on its way, removed afterwards with whatever is still in it."""
    folder = incoming(landing, name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(landing: Path, landed: Landed) -> Landed:
    """Moves a complete attempt from its incoming folder to its place by one rename, and returns it there."""
    target = landing / landed.load.folder / landed.attempt
    target.parent.mkdir(parents=True, exist_ok=True)
    landed.write(landed.folder)
    for member in (*landed.members, "."):
        sync_path(landed.folder / member)
    landed.folder.rename(target)
    sync_path(target.parent)
    return replace(landed, folder=target)


def drop_attempts(landing: Path, folders: Iterable[Path]) -> None:
    """Removes the raw files of attempts that do not count. Each is moved away first, so that no half is ever seen."""
    for folder in folders:
        if folder.is_dir():
            with arriving(landing, f"gone-{folder.name}") as gone:
                folder.rename(gone / folder.name)
