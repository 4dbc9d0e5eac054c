"""A file of an inbox, line by line through its source and mapping, to the events that are sent on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from etl.clients.mparticle import MparticleClient
from etl.destinations.receipts import Outgoing, Rejected
from etl.jobs import resolve_variables
from etl.jobs_forwarding import CustomerioJob, ForwardingJob, MparticleDestination, NamiJob
from etl.mapping.apply import EventCounts, EventMapping
from etl.pipeline.project import Project
from etl.settings import Secret
from etl.sources import customerio, nami
from etl.sources.webhooks import BadLine, Source, Taken, records_of

DEFAULT_FEED = "default"
_READABLE = {
    "not_utf8": "the line is not UTF-8",
    "not_json": "the line is not JSON",
    "not_an_object": "the line is no JSON object",
}


@dataclass(frozen=True)
class Translation:
    """How the lines of a job's files become events, and which feed each is for (None: no place for it)."""

    source: Source
    mapping: EventMapping
    key: str
    feed_of: Callable[[Mapping[str, Any]], str | None] = lambda event: ""


@dataclass
class Translated:
    """What came of a file's lines: `events` to send, `duplicates` left out, those `unplaced` for want of a feed, lines that are
    `taken.bad`; `skipped` sums up what is not meant to be sent, by reason."""

    events: int = 0
    duplicates: int = 0
    unplaced: int = 0
    taken: Taken = field(default_factory=Taken)
    mapped: EventCounts = field(default_factory=EventCounts)

    @property
    def skipped(self) -> Counter[str]:
        return self.taken.skipped + Counter({"left_out": self.mapped.left_out, "no_feed": self.unplaced})


def source_of(job: ForwardingJob) -> Source:
    """The source of a job with the job's options. Raises ConfigurationError for options that there are not."""
    if isinstance(job, NamiJob):
        return partial(_nami, nami.NamiOptions(frozenset(job.events), job.user_id))
    assert isinstance(job, CustomerioJob)
    options = customerio.CustomerioOptions(frozenset(job.events), job.body_content, job.account_id, job.workspace_id)
    return partial(_customerio, options)


def feed_finder(destination: MparticleDestination) -> Callable[[Mapping[str, Any]], str | None]:
    """The feed of a batch: that of its platform, whatever the case of its letters, else the one called `default`."""
    feeds = {name.lower(): name for name in destination.feeds}

    def feed_of(event: Mapping[str, Any]) -> str | None:
        device = event.get("device_info")
        platform = str(device.get("platform") or "") if isinstance(device, Mapping) else ""
        return feeds.get(platform.lower()) or feeds.get(DEFAULT_FEED)

    return feed_of


def feed_client(project: Project, destination: str, feed: str) -> MparticleClient:
    """A client for one feed of a destination. Raises ConfigurationError where a variable is not set."""
    model, where = project.jobs.destinations[destination], f"destinations.{destination}"
    assert isinstance(model, MparticleDestination)
    pair = model.feeds[feed]
    return MparticleClient(
        resolve_variables(pair.key.get_secret_value(), f"{where}.feeds.{feed}.key"),
        Secret(resolve_variables(pair.secret.get_secret_value(), f"{where}.feeds.{feed}.secret")),
        pod=model.pod,
        base_url=model.base_url and resolve_variables(model.base_url, f"{where}.base_url"),
        clock=project.clock,
    )


def outgoing(
    lines: Iterable[tuple[int, bytes]], how: Translation, load: str, received: datetime, found: Translated, file: int = 0
) -> Iterator[Outgoing]:
    """The events of numbered lines. `received` is the time of records that bring none, `file` the number that the events get.

    Each event has a key of its own, the same each time that the file is read: what the mapping gives (`insert_id`,
    `source_request_id`), else one made of the load and the line. An event that repeats another's key and sender is left out.
    """
    senders: dict[str, object] = {}
    for number, (line, record) in enumerate(records_of(lines, how.source, found.taken)):
        event = how.mapping.event(record, received, found.mapped)
        if event is None:
            continue
        feed = how.feed_of(event)
        if feed is None:
            found.unplaced += 1
            continue
        key = str(event.get(how.key) or f"{load}:{line}:{number}")
        sender = (event.get("device_id"), event.get("user_id"), feed)
        if senders.get(key, sender) != sender:
            # One id for several devices: these are several events, and need several ids.
            key = f"{key}-{event.get('device_id') or event.get('user_id') or feed}"
        if key in senders:
            found.duplicates += 1
            continue
        senders[key] = sender
        found.events += 1
        yield Outgoing(key, line, event, feed, file)


def bad_line(one: BadLine) -> Rejected:
    """The rejection of a line that holds no event."""
    return Rejected(f"line:{one.line}", one.line, one.code, _READABLE[one.code], one.text)


def _nami(options: nami.NamiOptions, webhook: Mapping[str, Any]) -> Any:
    return nami.records(webhook, options)


def _customerio(options: customerio.CustomerioOptions, webhook: Mapping[str, Any]) -> Any:
    return customerio.records(webhook, options)
