"""The destination `mparticle`: sends batches (one user, some events each) to the feed of their platform, in bulk.

A bulk request is taken as a whole: mParticle answers 202 and drops a batch that it cannot use without a word. So each batch is
held against the published rules before it is sent, and what breaks them is rejected with the reason. Of a bulk request that
is refused all the same (400, 413) the halves are sent, until the batch at fault is alone and mParticle says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from etl.clients.amplitude_tracking import encoded
from etl.clients.mparticle import MOST_BATCH_BYTES, MOST_BATCHES, MOST_REQUEST_BYTES, MparticleClient
from etl.destinations.batches import Measured
from etl.destinations.mparticle_batch import batch_of, fault_of, is_older
from etl.destinations.receipts import Delivered, Ledger, Outgoing, Refusal
from etl.destinations.refusals import check_refusal
from etl.errors import BadRequest, ConfigurationError, DataError, PayloadTooLarge, ProfilemillError

# The brackets, and room for what counts as size on their side.
_ENVELOPE = 1024


def deliver_mparticle(
    events: Iterable[Outgoing],
    feeds: Mapping[str, MparticleClient],
    receipt: Ledger,
    *,
    environment: str,
    historical_before: datetime | None = None,
    on_sent: Callable[[int], None] = lambda count: None,
) -> Delivered:
    """Sends the batches that the receipt does not have yet, each to the feed it names, and writes down what becomes of it.

    Batches whose events are all older than `historical_before` go to the historical path; it has to be 72 hours ago or more.
    An event whose feed is not in `feeds` is rejected. Raises CredentialsError, FatalError for refusals that are not mParticle's, and
    a TransientError once the client's retries are used up; what has been acknowledged until then stands in the receipt.
    """
    if not feeds:
        raise ConfigurationError("the destination has no feed", next_step="give it the key and the secret of at least one feed")
    return _Delivery(feeds, receipt, environment, historical_before, on_sent).run(events)


class _Delivery:
    def __init__(
        self,
        feeds: Mapping[str, MparticleClient],
        receipt: Ledger,
        environment: str,
        historical_before: datetime | None,
        on_sent: Callable[[int], None],
    ) -> None:
        self.feeds, self.receipt, self.environment = feeds, receipt, environment
        self.on_sent = on_sent
        self.old = None if historical_before is None else int(historical_before.timestamp() * 1000)
        self.done = Delivered()
        self.bad: list[Refusal] = []

    def run(self, events: Iterable[Outgoing]) -> Delivered:
        collected: dict[tuple[str, bool], list[Measured]] = {}
        for one in self._measured(events):
            way = (one.out.feed, self.old is not None and is_older(one.out.event, self.old))
            batches = collected.setdefault(way, [])
            if len(batches) == MOST_BATCHES or sum(other.size for other in batches) + one.size > MOST_REQUEST_BYTES - _ENVELOPE:
                self._send(*way, batches)
                batches = collected[way] = []
            batches.append(one)
        for way, batches in collected.items():
            self._send(*way, batches)
        self._write_down_bad()
        return self.done

    def _measured(self, events: Iterable[Outgoing]) -> Iterator[Measured]:
        for one in events:
            if self.receipt.settled(one):
                continue
            out = replace(one, event=batch_of(one.event, one.key, self.environment))
            fault = fault_of(out.event)
            if fault is None and one.feed not in self.feeds:
                fault = f"there is no feed for the platform {one.feed or '(none)'}"
            try:
                size = len(encoded(out.event)) + 1
            except DataError as error:
                size, fault = 0, f"{error.what}: {error.value}"
            if size > MOST_BATCH_BYTES:
                fault = fault or f"the batch has {size:,} bytes; mParticle takes {MOST_BATCH_BYTES:,}"
            if fault is None:
                yield Measured(out, size)
            else:
                self.bad.append(Refusal(out, "invalid", fault))

    def _send(self, feed: str, historical: bool, batches: Sequence[Measured]) -> None:
        self._write_down_bad()
        client = self.feeds[feed]
        self.done.requests += 1
        try:
            if len(batches) == 1 and not historical:
                client.send(batches[0].out.event)
            else:
                client.send_bulk([one.out.event for one in batches], historical=historical)
        except (BadRequest, PayloadTooLarge) as error:
            if isinstance(error, BadRequest):
                check_refusal(error, "mParticle")
            if len(batches) == 1:
                code = "refused" if isinstance(error, BadRequest) else "too_large"
                self.bad.append(Refusal(batches[0].out, code, error.value or error.what))
                return
            middle = len(batches) // 2
            self._send(feed, historical, batches[:middle])
            self._send(feed, historical, batches[middle:])
            return
        except ProfilemillError as error:
            error.at(feed=feed or None)
            raise
        self.receipt.acknowledge([one.out for one in batches])
        self.done.acknowledged += len(batches)
        self.on_sent(len(batches))

    def _write_down_bad(self) -> None:
        """Together, because each entry of the receipt waits for the disk."""
        self.receipt.refuse(self.bad)
        self.done.rejected += len(self.bad)
        self.bad = []
