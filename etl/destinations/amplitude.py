"""The destination `amplitude`: uploads events so that each good one is there once, and says what has become of the others.

What Amplitude answers, and what is done about it:

====================================  ===========================================================================
200                                   written to the receipt
400 that names events                 those are rejected with Amplitude's reason; the rest is sent again
400 that names none                   sent again in halves, until the event at fault is alone
another 4xx, or no error object       nothing is written down, and the run stops: it may be no answer of Amplitude's
413                                   sent again in halves; an event that is too large alone is rejected
429 that names users or devices       their events wait for the pause that it asks for; the rest is sent again at once
429 with a used-up daily quota        the events of these users or devices are set aside until the quota is over
429 that names none, 5xx, no answer   all of it again, later: `insert_id` makes that harmless
====================================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from etl.clients.amplitude import BATCH, HTTP_V2, AmplitudeClient, Endpoint
from etl.clients.amplitude_tracking import encoded
from etl.clients.retry import RetryPolicy, retry
from etl.destinations.batches import WINDOW, Limits, Measured, PacedQueue
from etl.destinations.receipts import Delivered, Ledger, Outgoing, Refusal
from etl.destinations.refusals import check_refusal
from etl.errors import BadRequest, DataError, EventsThrottled, InvalidEvents, PayloadTooLarge
from etl.settings import Clock

# Below what the endpoints allow: the vendor advises less than its limits.
_REQUEST = {HTTP_V2.path: (1000, 900_000), BATCH.path: (1000, 15_000_000)}
_SENDER_PER_SECOND = {HTTP_V2.path: 10, BATCH.path: 300}
_DAY = timedelta(days=1)
# A sender that is refused so often in one run is left for the next one.
_MOST_REFUSALS = 20
_SKIP_SYNC = "$skip_user_properties_sync"


@dataclass(frozen=True)
class AmplitudeOptions:
    """How to upload. `history`: old events, so that their user properties do not replace newer ones."""

    endpoint: Endpoint = HTTP_V2
    min_id_length: int | None = None
    history: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)


def deliver_amplitude(
    events: Iterable[Outgoing],
    client: AmplitudeClient,
    receipt: Ledger,
    *,
    options: AmplitudeOptions,
    clock: Clock,
    quotas: dict[str, datetime] | None = None,
    on_sent: Callable[[int], None] = lambda count: None,
) -> Delivered:
    """Uploads the events that the receipt does not have yet, and writes down what becomes of each.

    `quotas` maps senders (`device_id:..`, `user_id:..`) to when their daily quota is over; it is read and added to.
    Raises CredentialsError, FatalError (403, and refusals that are not Amplitude's), and a TransientError once the retries are
    used up; what has been acknowledged until then stands in the receipt.
    """
    return _Delivery(client, receipt, options, clock, {} if quotas is None else quotas, on_sent).run(events)


class _Delivery:
    def __init__(
        self,
        client: AmplitudeClient,
        receipt: Ledger,
        options: AmplitudeOptions,
        clock: Clock,
        quotas: dict[str, datetime],
        on_sent: Callable[[int], None],
    ) -> None:
        self.client, self.receipt, self.options, self.clock = client, receipt, options, clock
        self.quotas, self.on_sent = quotas, on_sent
        self.done = Delivered()
        self.refusals: dict[str, int] = {}

    def run(self, events: Iterable[Outgoing]) -> Delivered:
        number, size = _REQUEST[self.options.endpoint.path]
        rate = _SENDER_PER_SECOND[self.options.endpoint.path]
        limits = Limits(number, size, int(rate * WINDOW.total_seconds()))
        self.queue = PacedQueue(self._measured(events), limits, self.clock.now)
        while (batch := self.queue.take()) is not None:
            if not batch:
                self.clock.sleep(max(self.queue.pause(), 0.001))
                continue
            self._send(self._not_set_aside(batch))
        return self.done

    def _measured(self, events: Iterable[Outgoing]) -> Iterator[Measured]:
        for one in events:
            if self.receipt.settled(one):
                continue
            event = {**one.event, "insert_id": one.key} | ({_SKIP_SYNC: True} if self.options.history else {})
            out = replace(one, event=event)
            try:
                size = len(encoded(event)) + 1
            except DataError as error:
                self._refuse([Refusal(out, "not_json", f"{error.what}: {error.value}")])
                continue
            yield Measured(out, size, _senders(event))

    def _not_set_aside(self, batch: Sequence[Measured]) -> list[Measured]:
        """The batch without the events of senders that have nothing left today, or were refused too often."""
        now = self.clock.now()
        sent = []
        for one in batch:
            if any(self.quotas.get(sender, now) > now for sender in one.senders):
                self.done.wait("daily quota", 1)
            elif any(self.refusals.get(sender, 0) >= _MOST_REFUSALS for sender in one.senders):
                self.done.wait("throttled again and again", 1)
            else:
                sent.append(one)
        return sent

    def _send(self, batch: Sequence[Measured]) -> None:
        """Uploads the batch, and deals with whatever Amplitude refuses of it, part by part in their order. Once something goes
        back into the queue, all that stands behind it does: nothing may be sent before it."""
        parts = [batch]
        while parts:
            part = parts.pop()
            again = self._send_once(part) if part else []
            if again is None:
                self.queue.put_back([one for left in reversed(parts) for one in left])
                return
            parts += reversed(again)

    def _send_once(self, batch: Sequence[Measured]) -> Sequence[Sequence[Measured]] | None:
        """One upload: the parts that are to be sent next, or None where the batch went back into the queue."""
        try:
            retry(lambda: self._upload(batch), policy=self.options.retry, clock=self.clock, allowed=_names_nobody)
        except EventsThrottled as error:
            if _names_nobody(error):
                raise
            self._throttled(batch, error)
            return None
        except InvalidEvents as error:
            return self._invalid(batch, error)
        except PayloadTooLarge as error:
            return self._halved(batch, "too_large", error.value or error.what)
        except BadRequest as error:
            check_refusal(error, "Amplitude")
            return self._halved(batch, "refused", error.value or error.what)
        self.receipt.acknowledge([one.out for one in batch])
        self.done.acknowledged += len(batch)
        self.on_sent(len(batch))
        return []

    def _upload(self, batch: Sequence[Measured]) -> None:
        self.done.requests += 1
        events = [one.out.event for one in batch]
        self.client.upload(events, endpoint=self.options.endpoint, min_id_length=self.options.min_id_length)

    def _throttled(self, batch: Sequence[Measured], error: EventsThrottled) -> None:
        over = {*_named("device_id", error.daily_devices), *_named("user_id", error.daily_users)}
        slow = {*_named("device_id", error.devices), *_named("user_id", error.users)}
        slow |= {sender for index in error.events if index < len(batch) for sender in batch[index].senders[:1]}
        slow -= over
        pause = error.delay or self.options.endpoint.pause
        if not (slow | over).intersection(sender for one in batch for sender in one.senders):
            # It names ids that none of these events has: all of them may be meant.
            slow = {sender for one in batch for sender in one.senders}
        self.quotas |= dict.fromkeys(over, self.clock.now() + _DAY)
        for sender in slow:
            self.refusals[sender] = self.refusals.get(sender, 0) + 1
        self.queue.hold(slow, pause)
        self.queue.put_back(batch)

    def _invalid(self, batch: Sequence[Measured], error: InvalidEvents) -> Sequence[Sequence[Measured]] | None:
        bad = {index: reason for index, reason in error.reasons.items() if 0 <= index < len(batch)}
        slow = [batch[index] for index in error.throttled if 0 <= index < len(batch) and index not in bad]
        if not bad and not slow:
            return self._halved(batch, "refused", error.value or error.what)
        self._refuse([Refusal(batch[index].out, "refused", reason) for index, reason in bad.items()])
        for sender in {sender for one in slow for sender in one.senders[:1]}:
            self.refusals[sender] = self.refusals.get(sender, 0) + 1
            self.queue.hold([sender], self.options.endpoint.pause)
        rest = [one for index, one in enumerate(batch) if index not in bad]
        if slow:
            self.queue.put_back(rest)
            return None
        # HTTP V2 names only the first event of a kind: of ten bad ones in a thousand, halves find all with a fraction of the bytes.
        return [rest] if self.options.endpoint is BATCH else _halves(rest)

    def _halved(self, batch: Sequence[Measured], code: str, reason: str) -> Sequence[Sequence[Measured]]:
        """The halves of a batch that was refused as a whole; an event that is alone is at fault itself."""
        if len(batch) > 1:
            return _halves(batch)
        self._refuse([Refusal(batch[0].out, code, reason)])
        return []

    def _refuse(self, found: Sequence[Refusal]) -> None:
        self.receipt.refuse(found)
        self.done.rejected += len(found)


def _halves(batch: Sequence[Measured]) -> list[Sequence[Measured]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def _names_nobody(error: Exception) -> bool:
    """Whether a failure is about the request as a whole: then all of it is repeated."""
    if not isinstance(error, EventsThrottled):
        return True
    return not (error.events or error.devices or error.users or error.daily_devices or error.daily_users)


def _senders(event: dict[str, object]) -> tuple[str, ...]:
    """Whose rate the event counts against; the device first, which is what Amplitude looks at first."""
    return tuple(f"{name}:{value}" for name in ("device_id", "user_id") if (value := event.get(name)))


def _named(kind: str, ids: Iterable[str]) -> list[str]:
    return [f"{kind}:{one}" for one in ids]
