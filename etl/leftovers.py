"""Folders and files of work in progress, named after the process that makes them, so that those of dead processes can be told."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from pathlib import Path

_OWNER = re.compile(r"(?P<host>.+)_(?P<pid>\d+)_[^_]*")


def own_name(name: str) -> str:
    """A name that tells this machine and this process; `name` holds no underscore."""
    return f"{_host()}_{os.getpid()}_{name.replace('_', '-')}"


def remove_leftovers(folder: Path, prefix: str = "") -> None:
    """Removes what dead processes of this machine left in `folder`, where its name begins with `prefix`; another machine's
    may well be alive."""
    for left in folder.iterdir() if folder.is_dir() else ():
        owner = _OWNER.fullmatch(left.name.removeprefix(prefix)) if left.name.startswith(prefix) else None
        if owner and owner["host"] == _host() and not _alive(int(owner["pid"])):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    left.unlink()


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
