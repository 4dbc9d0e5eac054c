"""A forwarding job: every finished file of its inbox, once, to its destination.

A file's way: landed in the lake as it came; each line through the source and the mapping; sent; what the destination said
about each event in the journal beside the receipt; at last, when no event is left, rejects and load committed, and the
receipt written. Whatever is killed in between goes on where the journal ends.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from etl.clients.amplitude import BATCH, HTTP_V2
from etl.clients.mparticle import MparticleClient
from etl.destinations.amplitude import AmplitudeOptions, deliver_amplitude
from etl.destinations.mparticle import deliver_mparticle
from etl.destinations.receipts import Delivered, Outgoing, Receipt
from etl.errors import ConfigurationError, DataError, ProfilemillError
from etl.jobs import resolve_variables
from etl.jobs_forwarding import AmplitudeDestination, ForwardingJob, MparticleDestination
from etl.lake.loads import FORWARDING
from etl.landing.manifest import Landed, LoadId, slug, write_json
from etl.mapping import load_mapping
from etl.mapping.apply import EventMapping
from etl.pipeline.forwarded import Settled, commit_files, forwarded_among, land_file
from etl.pipeline.outgoing import Translated, Translation, bad_line, feed_finder, outgoing, source_of
from etl.pipeline.project import Progress, Project
from etl.reports import ForwardingReport
from etl.settings import Secret
from etl.sources import inbox

log = logging.getLogger(__name__)

# So many files are committed together: a commit costs as much as sending some thousand events.
_FILES_AT_ONCE = 100
# mParticle takes only older events as history.
_HISTORY = timedelta(hours=73)
_KEYS = {"amplitude": "insert_id", "mparticle": "source_request_id"}


@dataclass(frozen=True)
class PlannedFile:
    """A file that a run sends: its size in bytes, and how many of its events earlier runs have settled."""

    name: str
    size: int
    settled: int


def plan_forwarding(project: Project, name: str) -> list[PlannedFile]:
    """The files that a run sends, oldest first. Asks nothing of anybody and writes nothing."""
    job = project.forwarding_job(name)
    found = []
    for path in inbox.pending_files(job.inbox, name):
        receipt = Receipt(_journal(path, name))
        found.append(PlannedFile(path.name, path.stat().st_size, len(receipt.acknowledged) + len(receipt.rejections)))
    return found


def run_forwarding(project: Project, name: str, progress: Progress | None = None) -> ForwardingReport:
    """The whole job: every file that is not done, oldest first.

    A file that cannot be read is named in `failed`, and the next one follows; where the destination cannot be reached, the
    rest is left for the next run. Raises ConfigurationError.
    """
    return forward_files(project, name, [one.name for one in plan_forwarding(project, name)], progress)


def forward_files(project: Project, name: str, files: Sequence[str], progress: Progress | None = None) -> ForwardingReport:
    """`run_forwarding` for some files of the inbox. One call at a time for each job: a second one waits."""
    shown = progress or Progress()
    mapping, job = check_forwarding(project, name), project.forwarding_job(name)
    report = ForwardingReport(name)
    project.lake.ensure_writable()
    with FileLock(project.lake.root / f".forwarding-{slug(name)}.lock"):
        pending = [path for path in inbox.pending_files(job.inbox, name) if path.name in set(files)]
        loads = {path: LoadId(FORWARDING, name, inbox.load_id(job.source, path).rpartition("/")[2]) for path in pending}
        known = forwarded_among(project.lake, loads.values())
        with _Settling(project, name, job) as settling:
            for done, (path, load) in enumerate(loads.items()):
                shown.on_steps(done, len(loads))
                if str(load) in known:
                    inbox.write_receipt(path, name, {"load": str(load), "note": "the same content was sent already"})
                    report.repeated.append(path.name)
                    continue
                one = _File(project, name, job, mapping, path, shown)
                try:
                    settled = one.run(load)
                except ConfigurationError:
                    raise
                except ProfilemillError as error:
                    report.failed[path.name] = str(error)
                    if isinstance(error, DataError):
                        continue
                    break
                report.add(one.report)
                if settled is not None:
                    known.add(str(load))
                    settling.add(path, settled)
        shown.on_steps(len(loads), len(loads))
    return report


def check_forwarding(project: Project, name: str) -> EventMapping:
    """The mapping of the job. Raises ConfigurationError or MappingError for whatever else of it cannot work."""
    job = project.forwarding_job(name)
    source_of(job)
    destination = project.jobs.destinations[job.destination]
    mapping = job.mapping or f"{job.source}_to_{destination.type}"
    found = load_mapping(mapping, project.mapping_folders())
    if found.stream != job.source:
        raise ConfigurationError(f"the mapping {found.name} is for the stream {found.stream}, not {job.source}", where={"file": found.path})
    inbox.finished_files(job.inbox)
    return EventMapping(found)


class _Settling:
    """Files of which no event is left, on their way into the lake: some at once, and all of them when the block is left.

    Until its receipt is written a file is not done; a run that is killed before finds its journal full and commits it again.
    """

    def __init__(self, project: Project, name: str, job: ForwardingJob) -> None:
        self.project, self.name, self.job = project, name, job
        self.waiting: list[tuple[Path, Settled]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()

    def add(self, path: Path, settled: Settled) -> None:
        self.waiting.append((path, settled))
        if len(self.waiting) >= _FILES_AT_ONCE:
            self.commit()

    def commit(self) -> None:
        commit_files(self.project.lake, self.name, self.job.source, [settled for _, settled in self.waiting], self.project.clock)
        for path, settled in self.waiting:
            inbox.write_receipt(path, self.name, {"load": str(settled.landed.load)} | settled.counts)
        self.waiting = []


class _File:
    """One file on its way."""

    def __init__(self, project: Project, name: str, job: ForwardingJob, mapping: EventMapping, path: Path, progress: Progress) -> None:
        self.project, self.name, self.job, self.path, self.progress = project, name, job, path, progress
        self.destination = project.jobs.destinations[job.destination]
        self.mapping = mapping
        self.report = ForwardingReport(name)
        self.found = Translated()
        self.unplaced: Counter[str] = Counter()

    def run(self, load: LoadId) -> Settled | None:
        """Sends what is left of the file; None where events are left still. `report` says what was done."""
        landed = land_file(self.project.lake, load, self.path, self.project.clock)
        receipt = Receipt(_journal(self.path, self.name))
        self.report.before = len(receipt.acknowledged)
        delivered = self._deliver(landed, receipt)
        receipt.reject([one for one in map(bad_line, self.found.taken.bad) if not receipt.settled(one.key)])
        self._account(delivered, receipt)
        if delivered.waiting:
            self.report.open.append(self.path.name)
            return None
        self.report.files.append(self.path.name)
        return Settled(landed, self._counts(receipt), tuple(receipt.rejections.values()))

    def _deliver(self, landed: Landed, receipt: Receipt) -> Delivered:
        sent = 0

        def on_sent(count: int) -> None:
            nonlocal sent
            sent += count
            self.progress.on_text(f"{self.path.name}: {sent:,} events sent")

        clock = self.project.clock
        events = self._events(landed)
        if isinstance(self.destination, AmplitudeDestination):
            endpoint = BATCH if self.job.history or self.destination.endpoint == "batch" else HTTP_V2
            options = AmplitudeOptions(endpoint, self.destination.min_id_length, self.job.history)
            with self.project.client_of(self.destination.authorization) as client, self._quotas() as quotas:
                return deliver_amplitude(events, client, receipt, options=options, clock=clock, quotas=quotas, on_sent=on_sent)
        assert isinstance(self.destination, MparticleDestination)
        with ExitStack() as opened:
            feeds = {feed: opened.enter_context(self._feed(self.destination, feed)) for feed in self.destination.feeds}
            environment = self.destination.environment
            old = clock.now() - _HISTORY if self.job.history else None
            return deliver_mparticle(events, feeds, receipt, environment=environment, historical_before=old, on_sent=on_sent)

    def _events(self, landed: Landed) -> Iterator[Outgoing]:
        feed_of: Callable[..., str | None] = lambda event: ""  # noqa: E731
        if isinstance(self.destination, MparticleDestination):
            feed_of = feed_finder(self.destination)
        how = Translation(source_of(self.job), self.mapping, _KEYS[self.destination.type], feed_of)
        lines = inbox.read_lines(landed.folder / landed.members[0])
        return outgoing(lines, how, landed.load.unit, landed.time, self.found, lambda why: self.unplaced.update([why]))

    def _feed(self, destination: MparticleDestination, feed: str) -> MparticleClient:
        pair, where = destination.feeds[feed], f"destinations.{self.job.destination}.feeds.{feed}"
        return MparticleClient(
            resolve_variables(pair.key.get_secret_value(), f"{where}.key"),
            Secret(resolve_variables(pair.secret.get_secret_value(), f"{where}.secret")),
            pod=destination.pod,
            base_url=destination.base_url and resolve_variables(destination.base_url, f"destinations.{self.job.destination}.base_url"),
            clock=self.project.clock,
        )

    @contextmanager
    def _quotas(self) -> Iterator[dict[str, datetime]]:
        """Whose daily quota is used up until when; kept for the next files and runs."""
        path = _quotas_path(self.project, self.job)
        before = read_quotas(self.project, self.job)
        quotas = dict(before)
        try:
            yield quotas
        finally:
            if quotas != before:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {sender: until.isoformat() for sender, until in quotas.items()})

    def _account(self, delivered: Delivered, receipt: Receipt) -> None:
        report, found = self.report, self.found
        report.lines, report.events, report.duplicates = found.taken.lines, found.events, found.duplicates
        report.acknowledged, report.requests = delivered.acknowledged, delivered.requests
        report.rejects = len(receipt.rejections)
        report.reasons = dict(Counter(one.reason for one in receipt.rejections.values()))
        report.skipped = dict(found.skipped + self.unplaced)
        report.waiting, report.misfits = dict(delivered.waiting), dict(found.mapped.misfits)

    def _counts(self, receipt: Receipt) -> dict[str, Any]:
        return {
            "file": self.path.name,
            "source": self.job.source,
            "destination": self.job.destination,
            "mapping": self.mapping.mapping.fingerprint,
            "lines": self.found.taken.lines,
            "events": self.found.events,
            "acknowledged": len(receipt.acknowledged),
            "rejects": len(receipt.rejections),
            "duplicates": self.found.duplicates,
            "skipped": self.report.skipped,
            "left_out": sum(self.report.skipped.values()),
            "misfits": self.report.misfits,
        }


def _journal(path: Path, job: str) -> Path:
    """What the destination said about each event so far."""
    receipt = inbox.receipt_path(path, job)
    return receipt.with_name(f"{path.name}.events.jsonl")


def read_quotas(project: Project, job: ForwardingJob) -> dict[str, datetime]:
    """Which senders of the job's destination have used up their daily quota, and until when."""
    try:
        content = json.loads(_quotas_path(project, job).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    found = {sender: datetime.fromisoformat(until) for sender, until in content.items()}
    return {sender: until for sender, until in found.items() if until > project.clock.now()}


def _quotas_path(project: Project, job: ForwardingJob) -> Path:
    return project.lake.state / "quotas" / f"{slug(job.destination)}.json"
