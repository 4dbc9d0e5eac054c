"""Memory that was freed goes back to the system; allocators would keep it for later, and a worker has a limit."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

# A process that is smaller keeps what it freed: to get a page again takes longer than to use it.
_LARGE = 400 * 1024 * 1024


@cache
def choose_allocator() -> None:
    """Has Arrow work with jemalloc, unless ARROW_DEFAULT_MEMORY_POOL names another one or this build of Arrow lacks it: it keeps
    what was freed a second, in the size it was, where others have the system clear most of it again."""
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ and "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def give_back() -> None:
    """Takes a few milliseconds. Does what it can: only the C library of Linux can be asked."""
    if _resident() < _LARGE:
        return
    pa.default_memory_pool().release_unused()
    if trim := _trim():
        trim(0)


def _resident() -> int:
    """The bytes of this process that are in memory; where nothing tells, very many."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return sys.maxsize
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
