"""Putting a lake's tables in place of another's, so that a kill in between is finished by whoever comes next."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

BESIDE = ".rebuild"
_READY = "READY"
_TABLES = (
    "streams",
    "fragments",
    "rejects",
    "loads",
    "profiles",
    "identifiers",
    "changes",
    "conflicts",
    "repeated",
    "cohort_memberships",
    "state/streams",
)


def mark_ready(root: Path) -> None:
    """From here on the tables beside the lake are the ones that count; `swap_in` only carries that out."""
    (root / BESIDE / _READY).touch()


def swap_in(root: Path) -> None:
    """Moves the tables beside the lake into it. Does nothing unless they were marked ready; may be repeated."""
    beside = root / BESIDE
    if not (beside / _READY).exists():
        return
    with FileLock(root / ".swap.lock"):
        if (beside / _READY).exists():
            _move(root, beside)


def _move(root: Path, beside: Path) -> None:
    for name in _TABLES:
        new, old = beside / name, root / name
        if (beside / f"{name}.done").exists():
            continue
        gone = beside / f"{name}.old"
        if old.exists() and not gone.exists():
            gone.parent.mkdir(parents=True, exist_ok=True)
            old.rename(gone)
        if new.exists():
            old.parent.mkdir(parents=True, exist_ok=True)
            new.rename(old)
        (beside / f"{name}.done").parent.mkdir(parents=True, exist_ok=True)
        (beside / f"{name}.done").touch()
    (beside / _READY).unlink()
    shutil.rmtree(beside, ignore_errors=True)
