"""Folders of work in progress, named after the process that makes them, so that those of dead processes can be told."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

_OWNER = re.compile(r"(?P<host>.+)_(?P<pid>\d+)_[^_]*")


def own_name(name: str) -> str:
    """A folder name that tells this machine and this process; `name` holds no underscore."""
    return f"{_host()}_{os.getpid()}_{name.replace('_', '-')}"


def remove_leftovers(folder: Path) -> None:
    """Removes what dead processes of this machine left in `folder`; another machine's may well be alive."""
    for left in folder.iterdir() if folder.is_dir() else ():
        owner = _OWNER.fullmatch(left.name)
        if owner and owner["host"] == _host() and not _alive(int(owner["pid"])):
            shutil.rmtree(left, ignore_errors=True)


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
