"""What Amplitude's cohort API says, as values; everything optional in it may be missing, null or of another type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

_FAILED = ("FAIL", "ERROR", "CANCEL", "ABORT", "KILLED", "TIMED OUT", "TIMEOUT")
_NOT_YET = ("PROGRESS", "PENDING", "QUEUED", "RUNNING", "STARTED")


@dataclass(frozen=True)
class Cohort:
    """An entry of the list. `size` is that of `last_computed`, in epoch seconds; `raw` is the entry as it came."""

    id: str
    name: str
    size: int | None = None
    last_computed: int | None = None
    archived: bool = False
    published: bool = True
    description: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class CohortState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class CohortStatus:
    """Where a request stands, in the server's words; `delay` is the wait in seconds that it asked for, if any."""

    state: CohortState
    text: str = ""
    delay: float | None = None


@dataclass(frozen=True)
class CohortUsage:
    """Requests of this month: `used` of `limit`; either is None where the server does not say."""

    used: int | None
    limit: int | None
    resets_at: datetime | None = None


@dataclass(frozen=True)
class PollPolicy:
    """Seconds between looks: `first`, growing by `growth` to `longest`; `odd` failed looks in a row are tolerated."""

    before_first: float = 0.0
    first: float = 5.0
    longest: float = 30.0
    growth: float = 1.5
    odd: int = 3


def cohort_from(entry: object) -> Cohort | None:
    """The cohort of a list's entry; None without an id. A missing name is the id."""
    if not isinstance(entry, dict) or entry.get("id") in (None, ""):
        return None
    name = entry.get("name")
    return Cohort(
        id=str(entry["id"]),
        name=str(entry["id"]) if name is None else str(name),
        size=_whole(entry.get("size")),
        last_computed=_whole(entry.get("lastComputed")),
        archived=entry.get("archived") is True,
        published=entry.get("published") is not False,
        description=str(entry.get("description") or ""),
        raw=entry,
    )


def status_from(http_status: int, body: Mapping[str, Any]) -> CohortStatus:
    """200 is ready and 202 running, unless the text clearly says otherwise."""
    text = str(body.get("async_status") or "")
    words = text.upper()
    if any(word in words for word in _FAILED):
        return CohortStatus(CohortState.FAILED, text)
    if http_status == 200 and not any(word in words for word in _NOT_YET):
        return CohortStatus(CohortState.READY, text)
    return CohortStatus(CohortState.RUNNING, text)


def usage_from(body: Mapping[str, Any]) -> CohortUsage | None:
    """Reads `{"rest_download": {"limit", "usage", "resets_at"}}` and `{"limit", "count"}`; None for anything else."""
    inner = body.get("rest_download")
    found: Mapping[str, Any] = inner if isinstance(inner, dict) else body
    used = _whole(found.get("usage", found.get("count")))
    limit = _whole(found.get("limit"))
    if used is None and limit is None:
        return None
    return CohortUsage(used, limit, _moment(found.get("resets_at")))


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
