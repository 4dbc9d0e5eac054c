"""Events in requests that keep a receiver's limits: so many events, so many bytes, so many of one sender in a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.destinations.receipts import Outgoing

# Rates are averages over this long.
WINDOW = timedelta(seconds=30)
# What is held back in memory while its senders have to wait; more is not read before some of it has gone.
_MOST_WAITING = 20_000


@dataclass(frozen=True)
class Limits:
    """Of one request (`events`, `bytes`), and of one sender in any 30 seconds (`of_sender`; None: no limit)."""

    events: int
    bytes: int
    of_sender: int | None = None


@dataclass(frozen=True)
class Measured:
    """An event with its size in a request, and the senders (devices, users) whose rate it counts against."""

    out: Outgoing
    size: int
    senders: tuple[str, ...] = ()


class PacedQueue:
    """Hands out events in batches within the limits. The events of one sender stay in their order, that of their lines.

    A sender that has sent its share, or that the receiver wants to hear nothing of for a while, waits; others go on.
    """

    def __init__(self, events: Iterable[Measured], limits: Limits, now: Callable[[], datetime]) -> None:
        self._source: Iterator[Measured] = iter(events)
        self._limits, self._now = limits, now
        self._waiting: list[Measured] = []
        self._sent: dict[str, tuple[datetime, int]] = {}
        self._held: dict[str, datetime] = {}

    def take(self) -> list[Measured] | None:
        """The next batch; empty where all that is left has to wait (`pause` tells how long); None at the end."""
        now = self._now()
        batch: list[Measured] = []
        left: list[Measured] = []
        blocked: set[str] = set()
        size = 0
        waiting = iter(self._waiting)
        for event in self._next(waiting, left):
            if blocked.intersection(event.senders) or self._ready(event, now) > now:
                blocked.update(event.senders)
                left.append(event)
                continue
            if batch and size + event.size > self._limits.bytes:
                left.append(event)
                break
            batch.append(event)
            size += event.size
            self._count(event, now, 1)
            if len(batch) == self._limits.events:
                break
        self._waiting = [*left, *waiting]
        return batch if batch or self._waiting else None

    def pause(self) -> float:
        """Seconds until the first of the waiting events may go."""
        now = self._now()
        first: datetime | None = None
        behind: dict[str, datetime] = {}
        for event in self._waiting:
            # Nor may it overtake an earlier event of one of its senders.
            ready = max([self._ready(event, now), *(behind[sender] for sender in event.senders if sender in behind)])
            behind |= dict.fromkeys(event.senders, ready)
            first = ready if first is None else min(first, ready)
        return 0.0 if first is None else (first - now).total_seconds()

    def put_back(self, events: Sequence[Measured]) -> None:
        """Events that were taken and not sent after all; they come again, at their places in the order."""
        now = self._now()
        for event in events:
            self._count(event, now, -1)
        self._waiting = sorted([*events, *self._waiting], key=lambda event: (event.out.file, event.out.line))

    def hold(self, senders: Iterable[str], seconds: float) -> None:
        """Hands out nothing of these senders for a while."""
        until = self._now() + timedelta(seconds=seconds)
        self._held |= dict.fromkeys(senders, until)

    def _next(self, waiting: Iterator[Measured], left: list[Measured]) -> Iterator[Measured]:
        yield from waiting
        while len(left) < _MOST_WAITING:
            event = next(self._source, None)
            if event is None:
                return
            yield event

    def _ready(self, event: Measured, now: datetime) -> datetime:
        """When the event may go: at once (`now`), or when all of its senders may send again."""
        return max((self._sender_ready(sender, now) for sender in event.senders), default=now)

    def _sender_ready(self, sender: str, now: datetime) -> datetime:
        ready = self._held.get(sender, now)
        begun, count = self._sent.get(sender, (now, 0))
        if self._limits.of_sender is not None and count >= self._limits.of_sender:
            ready = max(ready, begun + WINDOW)
        return max(ready, now)

    def _count(self, event: Measured, now: datetime, change: int) -> None:
        for sender in event.senders:
            begun, count = self._sent.get(sender, (now, 0))
            if now >= begun + WINDOW:
                begun, count = now, 0
            self._sent[sender] = (begun, max(0, count + change))
