"""Faults on demand, written `ROUTE:NAME[:TIMES]`: `export:429:2` answers the next two exports with 429.

TIMES is the number of requests affected, 1 when left out, `*` for every one, `5%` for an even share of them, for ever;
`throttled`, `daily` and `silenced` meet that share of the events instead, each once. ROUTE `*` means every route.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from etl.errors import ConfigurationError

_SENDING = ("httpapi", "batch", "identify", "groupidentify")
_EVENTS = ("httpapi", "batch")
_BY_EVENT = ("throttled", "daily", "silenced")
ROUTES = (
    *("export", "cohorts", "cohort_request", "cohort_status", "cohort_file", "s3", "usage"),
    *_SENDING,
    *("usersearch", "useractivity", "segmentation", "cohort_upload", "cohort_membership"),
    "mparticle",
)


@dataclass(frozen=True)
class FaultKind:
    """What one fault name does, and on which routes it exists (empty: on all of them, and on `*`)."""

    doc: str
    routes: tuple[str, ...] = ()


KINDS: dict[str, FaultKind] = {
    "400": FaultKind("bad request, with the error object"),
    "401": FaultKind("no credentials"),
    "403": FaultKind("wrong credentials, with the nested error object (s3: an XML error)"),
    "404": FaultKind("not found, with the error object"),
    "410": FaultKind("gone, with the error object"),
    "429": FaultKind("too many requests, with Retry-After: 1"),
    "500": FaultKind("server error, with an HTML page"),
    "502": FaultKind("bad gateway, with an HTML page"),
    "503": FaultKind("unavailable, with an HTML page"),
    "504": FaultKind("gateway time-out, with an HTML page"),
    "html": FaultKind("a 200 whose body is an HTML page"),
    "slow": FaultKind("the right answer, late"),
    "reset": FaultKind("the connection closes in the middle of the body"),
    "truncated": FaultKind("a complete response whose zip is cut off", ("export",)),
    "truncated_member": FaultKind("a sound zip whose first gzip member is cut off", ("export",)),
    "quota": FaultKind("429 because the monthly quota is used up", ("cohort_request",)),
    "stuck": FaultKind("this request id never gets ready", ("cohort_status",)),
    "failed": FaultKind("this request id answers 200 with JOB FAILED from now on", ("cohort_status",)),
    "expired": FaultKind("this request id is gone (410) from now on; s3: the link is too old (403)", ("cohort_file", "s3")),
    "413": FaultKind("the upload is too large", (*_SENDING, "mparticle")),
    "throttled": FaultKind("429 because the user and the device of the first event send too fast", _EVENTS),
    "daily": FaultKind("429 because the user and the device of the first event used up their day", ("batch",)),
    "silenced": FaultKind("400 because the device of the first event is silenced", _EVENTS),
    "stored": FaultKind("what was sent is kept, and the answer is a 500", (*_SENDING, "mparticle")),
    "empty": FaultKind("a file with its header only", ("cohort_file", "s3")),
    "short": FaultKind("a file with the first half of its members", ("cohort_file", "s3")),
}


@dataclass(frozen=True)
class Fault:
    """One fault to show; `times` None is for ever, of every request or of a `share` of them."""

    route: str
    name: str
    times: int | None = 1
    share: float = 1.0

    @property
    def by_event(self) -> bool:
        """Whether its share is one of the events, not of the requests."""
        return self.share < 1 and self.name in _BY_EVENT


def describe_faults() -> list[tuple[str, str]]:
    """`(ROUTE:NAME, what it does)` for each fault, in the order of help texts; `*:` marks those of every route."""
    return [(f"{route}:{name}", kind.doc) for name, kind in KINDS.items() for route in (kind.routes or ("*",))]


def parse_faults(texts: Iterable[str]) -> tuple[Fault, ...]:
    """The faults of `ROUTE:NAME[:TIMES]` texts; a wrong one is a ConfigurationError naming the right ones."""
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Fault:
    route, _, rest = text.strip().partition(":")
    name, _, times = rest.partition(":")
    _known("route", route, ("*", *ROUTES), text)
    fitting = [key for key, kind in KINDS.items() if not kind.routes or route in kind.routes]
    _known(f"fault of route {route}", name, fitting, text)
    if times in ("", "*"):
        return Fault(route, name, None if times == "*" else 1)
    if times.endswith("%"):
        return Fault(route, name, None, _share(times, text))
    if not (times.isascii() and times.isdigit() and int(times) > 0):
        raise ConfigurationError(
            "the number of times of a fault is not a whole number from 1, nor *, nor a percentage",
            where={"fault": text},
            value=times,
            next_step=f"Write {route}:{name}:2 or {route}:{name}:*.",
        )
    return Fault(route, name, int(times))


def _share(times: str, text: str) -> float:
    try:
        share = float(times[:-1]) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigurationError("the share of a fault is not between 0% and 100%", where={"fault": text}, value=times)
    return share


def _known(what: str, word: str, words: Iterable[str], text: str) -> None:
    right = list(words)
    if word in right:
        return
    near = difflib.get_close_matches(word, right, n=1, cutoff=0.4)
    raise ConfigurationError(
        f"unknown {what}",
        where={"fault": text},
        value=word,
        next_step=(f"Did you mean {near[0]}? " if near else "") + "There are: " + ", ".join(right) + ".",
    )


class FaultPlan:
    """The faults still to come; safe to use from several threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int | None]] = []
        self._due: dict[Fault, float] = {}
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        with self._lock:
            self._left += [(fault, fault.times) for fault in faults]

    def take(self, route: str) -> str | None:
        """The name of the fault that this request shall meet, used up by asking; the oldest fault comes first."""
        with self._lock:
            for index, (fault, left) in enumerate(self._left):
                if fault.route not in ("*", route) or fault.by_event:
                    continue
                if fault.share < 1 and not self._is_due(fault):
                    continue
                if left == 1:
                    del self._left[index]
                elif left is not None:
                    self._left[index] = (fault, left - 1)
                return fault.name
        return None

    def put_back(self, route: str, name: str) -> None:
        """A fault that could not be shown waits for the next request."""
        with self._lock:
            self._left.insert(0, (Fault(route, name), 1))

    def event_share(self, route: str, name: str) -> float:
        """The share of the events that shall meet this fault."""
        with self._lock:
            return sum(fault.share for fault, _ in self._left if fault.by_event and (fault.route, fault.name) == (route, name))

    def _is_due(self, fault: Fault) -> bool:
        due = self._due.get(fault, 0.0) + fault.share
        hit = due > 1 - 1e-9
        self._due[fault] = due - 1 if hit else due
        return hit
