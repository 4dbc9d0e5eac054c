"""The options of a sandbox, and what changes while it runs: data, faults, cohort requests, the log."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.sandbox.data import Cohort, SampleSpec
from etl.sandbox.event_faults import EventFaults
from etl.sandbox.faults import Fault, FaultPlan
from etl.sandbox.rates import Window
from etl.sandbox.store import Store, folder_store, sample_store
from etl.sandbox.tracked import Tracked
from etl.settings import Clock

_RATE_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True)
class SandboxOptions:
    """How a sandbox behaves. `data` names a folder to serve; without it `sample` is invented.

    Byte budgets are of the gzip members asked for: above `max_bytes` an export answers 400, above `gateway_bytes` 504.
    Cohorts of more than `inline_members` rows are redirected. `repeated_header` and `group_cohorts` are ids of cohorts
    whose file repeats the `amplitude_id` column, or is that of a group cohort with TABs before its cells. Uploads are
    refused above `events_per_second` of one user or device, averaged over 30 seconds (`batch_events_per_second` for Batch),
    and Batch above `daily_events` in 24 hours; None: never. Searches and activities are limited by number, other queries of
    the dashboard by cost. Hours are exported `export_delay` after their beginning.
    """

    sample: SampleSpec = field(default_factory=SampleSpec)
    data: Path | None = None
    faults: tuple[Fault, ...] = ()
    clock: Clock = field(default_factory=Clock)
    key: str = "key"
    secret: str = field(default="secret", repr=False)
    polls_before_ready: int = 1
    inline_members: int = 50
    monthly_quota: int = 500
    requests_per_10_minutes: int = 60
    link_seconds: int = 60
    slow_seconds: float = 5.0
    max_bytes: int | None = None
    gateway_bytes: int | None = None
    repeated_header: tuple[str, ...] = ()
    group_cohorts: tuple[str, ...] = ()
    export_delay: timedelta = timedelta(hours=3)
    events_per_second: int | None = 30
    batch_events_per_second: int | None = 1000
    daily_events: int | None = 500_000
    people_queries_per_hour: int = 360
    query_cost_per_5_minutes: int = 1000


@dataclass
class CohortRequest:
    """One accepted request: the snapshot it was made for, and how far it is. `fate` is stuck, failed or expired."""

    request_id: str
    cohort: Cohort
    columns: tuple[str, ...]
    polls: int = 0
    fate: str | None = None


@dataclass(frozen=True)
class Asked:
    """One request that was answered; credentials are not part of it."""

    route: str
    path: str
    query: str
    status: int


class Sandbox:
    """The state behind one app; safe to use from several threads."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.store: Store = folder_store(options.data) if options.data else sample_store(options.sample)
        self.tracked = Tracked(self.store.known_people(), self.store.project)
        self.faults, self.event_faults = FaultPlan(options.faults), EventFaults()
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._recent: deque[datetime] = deque()
        self._monthly: Counter[str] = Counter()
        self._requests: dict[str, CohortRequest] = {}
        self._links: dict[str, tuple[str, datetime]] = {}
        self._people_queries = Window(timedelta(hours=1))
        self._query_cost = Window(timedelta(minutes=5))

    def now(self) -> datetime:
        """The sandbox's time, naive UTC."""
        return self.options.clock.now().astimezone(UTC).replace(tzinfo=None)

    def record(self, asked: Asked) -> None:
        with self._lock:
            self._asked.append(asked)

    def asked(self) -> dict[str, Any]:
        """Every request so far, in order, and how often each path with its query was asked."""
        with self._lock:
            every = list(self._asked)
        counts = Counter(f"{one.path}?{one.query}" if one.query else one.path for one in every)
        return {
            "requests": [vars(one) for one in every],
            "routes": dict(Counter(one.route for one in every)),
            "counts": dict(counts),
        }

    def usage(self) -> tuple[int, datetime]:
        """The cohort requests of this month, and when the count starts again."""
        now = self.now()
        following = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        with self._lock:
            return self._monthly[f"{now:%Y-%m}"], following

    def admit(self, cohort: Cohort, columns: tuple[str, ...]) -> CohortRequest | str:
        """A new cohort request, or which limit refuses it: `rate` or `quota`."""
        now = self.now()
        with self._lock:
            while self._recent and self._recent[0] <= now - _RATE_WINDOW:
                self._recent.popleft()
            if len(self._recent) >= self.options.requests_per_10_minutes:
                return "rate"
            if self._monthly[f"{now:%Y-%m}"] >= self.options.monthly_quota:
                return "quota"
            self._recent.append(now)
            self._monthly[f"{now:%Y-%m}"] += 1
            request = CohortRequest(f"r{len(self._requests) + 1:04d}{cohort.entry['id']}", cohort, columns)
            self._requests[request.request_id] = request
            return request

    def may_look_up(self) -> bool:
        """Counts one query about people, unless there were too many."""
        with self._lock:
            return self._people_queries.admit("all", 1, self.options.people_queries_per_hour, self.now())

    def may_compute(self, cost: int) -> bool:
        """Counts the cost of a query, unless it goes beyond the limit."""
        with self._lock:
            return self._query_cost.admit("all", cost, self.options.query_cost_per_5_minutes, self.now())

    def request(self, request_id: str) -> CohortRequest | None:
        with self._lock:
            return self._requests.get(request_id)

    def poll(self, request: CohortRequest) -> bool:
        """Counts one look at a request; true once it is ready."""
        with self._lock:
            request.polls += 1
            return request.polls > self.options.polls_before_ready and request.fate is None

    def ready(self, request: CohortRequest) -> bool:
        with self._lock:
            return request.polls > self.options.polls_before_ready and request.fate is None

    def link(self, request: CohortRequest) -> str:
        """A fresh signature for the file of a request; it is good for `link_seconds`."""
        with self._lock:
            signature = f"{len(self._links) + 1:08x}"
            self._links[signature] = (request.request_id, self.now())
            return signature

    def link_age(self, request_id: str, signature: str) -> timedelta | None:
        """How old a signature is; None where it was not given out for this request."""
        with self._lock:
            owner, given = self._links.get(signature, ("", self.now()))
            return self.now() - given if owner == request_id else None
