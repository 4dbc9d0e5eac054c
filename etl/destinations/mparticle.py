"""The destination `mparticle`: sends batches (one user, some events each) to the feed of their platform, in bulk.

A bulk request is taken as a whole: mParticle answers 202 and drops a batch that it cannot use without a word. So each batch is
held against the published rules before it is sent, and what breaks them is rejected with the reason. Of a bulk request that
is refused all the same (400, 413) the halves are sent, until the batch at fault is alone and mParticle says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from etl.clients.amplitude_tracking import encoded
from etl.clients.mparticle import MOST_BATCH_BYTES, MOST_BATCHES, MOST_REQUEST_BYTES, MparticleClient
from etl.destinations.batches import Measured
from etl.destinations.mparticle_batch import batch_of, fault_of
from etl.destinations.receipts import Delivered, Outgoing, Receipt, rejected
from etl.errors import BadRequest, ConfigurationError, DataError, PayloadTooLarge

# The brackets, and room for what counts as size on their side.
_ENVELOPE = 1024


def deliver_mparticle(
    events: Iterable[Outgoing],
    feeds: Mapping[str, MparticleClient],
    receipt: Receipt,
    *,
    environment: str,
    historical: bool = False,
    on_sent: Callable[[int], None] = lambda count: None,
) -> Delivered:
    """Sends the batches that the receipt does not have yet, each to the feed it names, and writes down what becomes of it.

    An event whose feed is not in `feeds` is rejected. Raises CredentialsError, and a TransientError once the client's
    retries are used up; what has been acknowledged until then stands in the receipt.
    """
    if not feeds:
        raise ConfigurationError("the destination has no feed", next_step="give it the key and the secret of at least one feed")
    return _Delivery(feeds, receipt, environment, historical, on_sent).run(events)


class _Delivery:
    def __init__(
        self,
        feeds: Mapping[str, MparticleClient],
        receipt: Receipt,
        environment: str,
        historical: bool,
        on_sent: Callable[[int], None],
    ) -> None:
        self.feeds, self.receipt, self.environment = feeds, receipt, environment
        self.historical, self.on_sent = historical, on_sent
        self.done = Delivered()

    def run(self, events: Iterable[Outgoing]) -> Delivered:
        collected: dict[str, list[Measured]] = {feed: [] for feed in self.feeds}
        for one in self._measured(events):
            feed = one.out.feed
            full = sum(other.size for other in collected[feed]) + one.size > MOST_REQUEST_BYTES - _ENVELOPE
            if full or len(collected[feed]) == MOST_BATCHES:
                self._send(feed, collected[feed])
                collected[feed] = []
            collected[feed].append(one)
        for feed, batches in collected.items():
            if batches:
                self._send(feed, batches)
        return self.done

    def _measured(self, events: Iterable[Outgoing]) -> Iterator[Measured]:
        for one in events:
            if self.receipt.settled(one.key):
                continue
            out = Outgoing(one.key, one.line, batch_of(one.event, one.key, self.environment), one.feed)
            fault = fault_of(out.event)
            if fault is None and one.feed not in self.feeds:
                fault = f"there is no feed for the platform {one.feed or '(none)'}"
            try:
                size = len(encoded(out.event)) + 1
            except DataError as error:
                size, fault = 0, str(error)
            if size > MOST_BATCH_BYTES:
                fault = fault or f"the batch has {size:,} bytes; mParticle takes {MOST_BATCH_BYTES:,}"
            if fault is not None:
                self._reject(out, "invalid", fault)
                continue
            yield Measured(out, size)

    def _send(self, feed: str, batches: Sequence[Measured]) -> None:
        client = self.feeds[feed]
        self.done.requests += 1
        try:
            if len(batches) == 1 and not self.historical:
                client.send(batches[0].out.event)
            else:
                client.send_bulk([one.out.event for one in batches], historical=self.historical)
        except (BadRequest, PayloadTooLarge) as error:
            if len(batches) == 1:
                self._reject(batches[0].out, "refused" if isinstance(error, BadRequest) else "too_large", error.value or error.what)
                return
            middle = len(batches) // 2
            self._send(feed, batches[:middle])
            self._send(feed, batches[middle:])
            return
        self.receipt.acknowledge(one.out for one in batches)
        self.done.acknowledged += len(batches)
        self.on_sent(len(batches))

    def _reject(self, out: Outgoing, code: str, reason: str) -> None:
        self.receipt.reject([rejected(out, code, reason)])
        self.done.rejected += 1
