"""A forwarding job: every finished file of its inbox, once, to its destination.

A file's way: landed in the lake as it came; each line through the source and the mapping; sent, together with those of the
files beside it; what the destination said about each event in the journal beside the receipt; at last, when no event is
left, rejects and load committed, and the receipt written. Whatever is killed in between goes on where the journal ends.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from etl.clients.amplitude import BATCH, HTTP_V2
from etl.destinations.amplitude import AmplitudeOptions, deliver_amplitude
from etl.destinations.mparticle import deliver_mparticle
from etl.destinations.receipts import Delivered, Outgoing, Receipt, Receipts
from etl.errors import ConfigurationError, DataError, NetworkError, NotFound, ProfilemillError, TransientError
from etl.groups import groups_of
from etl.jobs_forwarding import AmplitudeDestination, ForwardingJob, MparticleDestination
from etl.landing.manifest import Landed, LoadId, slug, write_json
from etl.mapping import load_mapping
from etl.mapping.apply import EventMapping
from etl.mapping.paths import path_of
from etl.pipeline.forwarded import FORGOTTEN, Settled, commit_files, forwarded_among
from etl.pipeline.inbox_files import journal_path, land, sending
from etl.pipeline.outgoing import Translated, Translation, bad_line, feed_client, feed_finder, outgoing, source_of
from etl.pipeline.project import Progress, Project
from etl.reports import ForwardingReport
from etl.sources import inbox
from etl.sources.inbox import Inbox, InboxFile

log = logging.getLogger(__name__)

# A commit costs as much as sending some thousand events; what is in memory of a file is the keys of its events.
_FILES_AT_ONCE, _BYTES_AT_ONCE = 100, 64 * 1024 * 1024
# What a destination takes nothing without.
_NEEDED = {"amplitude": "event_type", "mparticle": "events"}
# mParticle takes only older events as history.
_HISTORY = timedelta(hours=73)


@dataclass(frozen=True)
class PlannedFile:
    """A file that a run sends: its size in bytes, and how many of its events earlier runs have settled."""

    name: str
    size: int
    settled: int


def plan_forwarding(project: Project, name: str) -> list[PlannedFile]:
    """The files that a run sends, oldest first. Asks nothing of anybody but the inbox, and writes nothing."""
    place = project.inbox(project.forwarding_job(name))
    found = []
    for file in inbox.look(place, name).pending:
        receipt = Receipt(journal_path(place, file.name, name))
        found.append(PlannedFile(file.name, file.size, len(receipt.acknowledged) + len(receipt.rejections)))
    return found


def run_forwarding(project: Project, name: str, progress: Progress | None = None) -> ForwardingReport:
    """The whole job: every file that is not done, oldest first.

    A file that cannot be read is named in `failed`, and the next one follows; where the destination cannot be reached, the
    rest is left for the next run. Raises ConfigurationError, and a TransientError where the inbox cannot be reached.
    """
    return forward_files(project, name, [one.name for one in plan_forwarding(project, name)], progress)


def forward_files(project: Project, name: str, files: Sequence[str], progress: Progress | None = None) -> ForwardingReport:
    """`run_forwarding` for some files of the inbox. One call at a time for each job: a second one waits."""
    check_forwarding(project, name)
    project.lake.ensure_writable()
    with sending(project.lake, name):
        return _Run(project, name, progress or Progress()).send(files)


def check_forwarding(project: Project, name: str) -> EventMapping:
    """The mapping of the job. Raises ConfigurationError or MappingError for whatever else of it cannot work."""
    job = project.forwarding_job(name)
    source_of(job)
    found = load_mapping(mapping_name_of(project, job), project.mapping_folders())
    if found.stream != job.source:
        raise ConfigurationError(f"the mapping {found.name} is for the stream {found.stream}, not {job.source}", where={"file": found.path})
    mapping, kind = EventMapping(found), project.jobs.destinations[job.destination].type
    if _NEEDED[kind] not in {(path_of(one.name) or ("",))[0] for one in found.fields}:
        # Run all the same, it would have every event refused, and what is refused is done.
        raise ConfigurationError(
            f"the mapping {found.name} gives no `{_NEEDED[kind]}`, which {kind} takes no event without",
            where={"file": found.path},
            next_step="add that field, or name another mapping or destination",
        )
    return mapping


def mapping_name_of(project: Project, job: ForwardingJob) -> str:
    """The mapping that a job names, or the one from its source to its destination's type."""
    return job.mapping or f"{job.source}_to_{project.jobs.destinations[job.destination].type}"


class _Run:
    """A job at work on some files of its inbox."""

    def __init__(self, project: Project, name: str, progress: Progress) -> None:
        self.project, self.name, self.progress = project, name, progress
        self.mapping, self.job = check_forwarding(project, name), project.forwarding_job(name)
        self.place, self.report = project.inbox(self.job), ForwardingReport(name)
        self.sent = 0

    def on_sent(self, count: int) -> None:
        self.sent += count
        self.progress.on_count(self.sent)

    def send(self, files: Sequence[str]) -> ForwardingReport:
        seen, wanted = inbox.look(self.place, self.name), set(files)
        self.report.changed = [file.name for file in seen.changed]
        pending = [file for file in seen.pending if file.name in wanted]
        # Of files with the same content the first one is sent; the others are done when it is.
        first: set[str] = set()
        repeated: list[tuple[InboxFile, LoadId]] = []
        done = 0
        # Small files share requests and commits, and no slow sender holds up the next file.
        for group in groups_of(pending, lambda file: file.size, most_items=_FILES_AT_ONCE, most_size=_BYTES_AT_ONCE):
            self.progress.on_steps(done, len(pending))
            landed = list(self._land(group))
            known = forwarded_among(self.project.lake, [one.load for _, one in landed])
            fresh = []
            for file, one in landed:
                if str(one.load) in first or str(one.load) in known:
                    repeated.append((file, one.load))
                else:
                    first.add(str(one.load))
                    fresh.append(_File(self.place, self.name, file, one))
            if fresh and not _Group(self, fresh).send():
                break
            done += len(group)
        self.progress.on_steps(done, len(pending))
        known = forwarded_among(self.project.lake, [load for _, load in repeated])
        for file, load in repeated:
            if str(load) in known:
                note = {"load": str(load), "note": "the same content was sent as another file"}
                inbox.write_receipt(self.place, file, self.name, note)
                self.report.repeated.append(file.name)
        return self.report

    def _land(self, files: Sequence[InboxFile]) -> Iterator[tuple[InboxFile, Landed]]:
        """The files in the lake. One that is gone, or replaced just now, is named in the report."""
        for file in files:
            try:
                yield file, land(self.project.lake, self.place, file, self.name, self.project.clock)
            except (NotFound, TransientError) as error:
                self.report.failed[file.name] = str(error)
                if isinstance(error, NetworkError):
                    return  # the files behind it would only wait for the same


class _File:
    """One file on its way: landed, with its journal, and what has come of its lines so far."""

    def __init__(self, place: Inbox, job: str, file: InboxFile, landed: Landed) -> None:
        self.file, self.landed = file, landed
        self.receipt = Receipt(journal_path(place, file.name, job))
        self.before = len(self.receipt.acknowledged)
        self.found = Translated()
        self.keys: list[str] = []
        self.read = False
        self.fault: DataError | None = None

    def events(self, how: Translation, number: int) -> Iterator[Outgoing]:
        """The events of the file. A damaged one ends where the damage is, with a `fault`."""
        lines = inbox.read_lines(self.landed.folder / self.landed.members[0])
        try:
            for one in outgoing(lines, how, self.landed.load.unit, self.landed.time, self.found, number):
                self.keys.append(one.key)
                yield one
        except DataError as error:
            self.fault = error
            return
        self.receipt.reject([one for one in map(bad_line, self.found.taken.bad) if not self.receipt.knows(one.key)])
        self.read = True

    @property
    def is_settled(self) -> bool:
        return self.read and all(self.receipt.knows(key) for key in self.keys)

    def counts(self) -> dict[str, Any]:
        forgotten = self.landed.details.get(FORGOTTEN, 0)
        skipped = dict(self.found.skipped) | ({FORGOTTEN: forgotten} if forgotten else {})
        return {
            "file": self.file.name,
            "lines": self.found.taken.lines,
            "events": self.found.events,
            "acknowledged": len(self.receipt.acknowledged),
            "rejects": len(self.receipt.rejections),
            "duplicates": self.found.duplicates,
            "skipped": skipped,
            "left_out": sum(skipped.values()),
            "misfits": dict(self.found.mapped.misfits),
        }


class _Group:
    """Files that are sent together. A run that is killed before their receipts are written finds their journals."""

    def __init__(self, run: _Run, files: Sequence[_File]) -> None:
        self.run, self.files, self.job, self.project = run, files, run.job, run.project
        self.destination = run.project.jobs.destinations[run.job.destination]

    def send(self) -> bool:
        """Sends what is left of the files, commits those of which nothing is left, and says in the report what was done.
        False where the destination cannot be reached. Raises ConfigurationError."""
        stopped: ProfilemillError | None = None
        report = self.run.report
        try:
            delivered = self._deliver()
            report.add(ForwardingReport(self.run.name, waiting=dict(delivered.waiting), requests=delivered.requests))
        except ConfigurationError:
            raise
        except ProfilemillError as error:
            stopped = error
        finally:
            self._commit()
        for file in self.files:
            report.add(self._report_of(file))
        if stopped is not None:
            first = next((one for one in self.files if not one.is_settled and one.fault is None), self.files[0])
            report.failed[first.file.name] = str(stopped)
        return stopped is None

    def _deliver(self) -> Delivered:
        clock, receipts = self.project.clock, Receipts([file.receipt for file in self.files])
        source = source_of(self.job)
        if isinstance(self.destination, AmplitudeDestination):
            endpoint = BATCH if self.job.history or self.destination.endpoint == "batch" else HTTP_V2
            options = AmplitudeOptions(endpoint, self.destination.min_id_length, self.job.history)
            events = self._events(Translation(source, self.run.mapping, "insert_id"))
            with self.project.client_of(self.destination.authorization) as client, self._quotas() as quotas:
                return deliver_amplitude(events, client, receipts, options=options, clock=clock, quotas=quotas, on_sent=self.run.on_sent)
        assert isinstance(self.destination, MparticleDestination)
        events = self._events(Translation(source, self.run.mapping, "source_request_id", feed_finder(self.destination)))
        old = clock.now() - _HISTORY if self.job.history else None
        with ExitStack() as opened:
            feeds = {feed: opened.enter_context(feed_client(self.project, self.job.destination, feed)) for feed in self.destination.feeds}
            environment = self.destination.environment
            return deliver_mparticle(events, feeds, receipts, environment=environment, historical_before=old, on_sent=self.run.on_sent)

    def _events(self, how: Translation) -> Iterator[Outgoing]:
        for number, file in enumerate(self.files):
            yield from file.events(how, number)

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

    def _commit(self) -> None:
        told = {
            "source": self.job.source,
            "destination": self.job.destination,
            "mapping": self.run.mapping.mapping.fingerprint,
        }
        done = [file for file in self.files if file.is_settled]
        settled = [Settled(file.landed, told | file.counts(), tuple(file.receipt.rejections.values())) for file in done]
        commit_files(self.project.lake, self.run.name, self.job.source, settled, self.project.clock)
        for file, one in zip(done, settled, strict=True):
            inbox.write_receipt(self.run.place, file.file, self.run.name, {"load": str(one.landed.load)} | one.counts)

    def _report_of(self, file: _File) -> ForwardingReport:
        counts, found = file.counts(), file.found
        if file.fault is not None:
            return ForwardingReport(self.run.name, failed={file.file.name: str(file.fault)})
        return ForwardingReport(
            self.run.name,
            files=[file.file.name] if file.is_settled else [],
            open=[] if file.is_settled else [file.file.name],
            lines=found.taken.lines,
            events=found.events,
            acknowledged=counts["acknowledged"] - file.before,
            before=file.before,
            duplicates=found.duplicates,
            rejects=counts["rejects"],
            skipped=counts["skipped"],
            reasons=dict(Counter(one.reason for one in file.receipt.rejections.values())),
            misfits=counts["misfits"],
        )


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
