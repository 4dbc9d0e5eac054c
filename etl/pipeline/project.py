"""A jobs file at work: its lake, its clients, its clock. Everything else in this folder takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from etl.clients.amplitude import AmplitudeClient, PollPolicy
from etl.connections import Keys, client_of, keys_of
from etl.errors import ConfigurationError
from etl.faults import nearest
from etl.jobs import CohortsJob, EventsJob, ImportJob, Job, Jobs, load_jobs, resolve_variables
from etl.jobs_forwarding import ForwardingJob
from etl.lake.layout import Lake
from etl.landing.manifest import slug
from etl.mapping import Mapping, load_mapping, refusal
from etl.mapping.pii import check_hashing, hashed_value, identifier_hashing
from etl.settings import Clock, Secret, packaged_mappings
from etl.sources.bucket import BucketInbox
from etl.sources.inbox import RECEIPTS, FolderInbox, Inbox


@dataclass(frozen=True)
class Progress:
    """Where a long step stands, for whoever shows it."""

    on_text: Callable[[str], None] = lambda text: None
    on_steps: Callable[[int, int], None] = lambda done, total: None
    on_bytes: Callable[[int], None] = lambda count: None
    on_count: Callable[[int], None] = lambda count: None


@dataclass(frozen=True)
class Project:
    """A checked jobs file and what its jobs need. `find_keys` is where Airflow puts its connections in."""

    path: Path
    jobs: Jobs
    clock: Clock = field(default_factory=Clock)
    poll: PollPolicy = field(default_factory=PollPolicy)
    find_keys: Callable[[str, Jobs], Keys] = lambda name, jobs: keys_of(name, jobs.authorizations[name])

    @property
    def lake(self) -> Lake:
        return Lake(self.jobs.lake)

    def any_job(self, name: str) -> Job:
        """A job by name. Raises ConfigurationError, with the nearest name."""
        if name not in self.jobs.jobs:
            known = ", ".join(self.jobs.jobs) or "none"
            raise ConfigurationError(
                f"there is no job {name!r}",
                where={"file": self.path.name},
                next_step=nearest(name, self.jobs.jobs) or f"known jobs: {known}",
            )
        return self.jobs.jobs[name]

    def job(self, name: str) -> ImportJob:
        """A job that imports, by name. Raises ConfigurationError."""
        job = self.any_job(name)
        if isinstance(job, ForwardingJob):
            raise ConfigurationError(f"{name!r} is not a job that imports", where={"type": job.source})
        return job

    def forwarding_job(self, name: str) -> ForwardingJob:
        """A job that sends events on, by name. Raises ConfigurationError."""
        job = self.any_job(name)
        if not isinstance(job, ForwardingJob):
            raise ConfigurationError(f"{name!r} is not a job that sends events on", where={"type": job.stream})
        return job

    def inbox(self, job: ForwardingJob) -> Inbox:
        """The inbox of a job. Receipts for the files of a bucket stand in the lake."""
        if "://" not in job.inbox:
            return FolderInbox(Path(job.inbox))
        return BucketInbox(job.inbox, self.lake.state / "inboxes" / slug(job.inbox) / RECEIPTS)

    def events_job(self, name: str) -> EventsJob:
        job = self.job(name)
        if not isinstance(job, EventsJob):
            raise ConfigurationError(f"{name!r} is not a job that imports events", where={"type": job.stream})
        return job

    def cohorts_job(self, name: str) -> CohortsJob:
        job = self.job(name)
        if not isinstance(job, CohortsJob):
            raise ConfigurationError(f"{name!r} is not a job that imports cohorts", where={"type": job.stream})
        return job

    def mapping_folders(self) -> list[Path]:
        """`mappings/` beside the jobs file, then the package's own."""
        return [self.path.parent / "mappings", packaged_mappings()]

    def mapping(self, job: ImportJob) -> Mapping:
        """The job's mapping, checked; its records have to say whose they are. Raises MappingError or ConfigurationError."""
        found = load_mapping(job.mapping_name, self.mapping_folders(), then="run `profilemill check`")
        if found.stream != job.stream:
            message = f"this mapping reads the stream {found.stream!r}, the job imports {job.stream!r}"
            raise refusal(found, "E416", message, "stream", f"write stream: {job.stream}, or name another mapping in the job")
        if not found.by:
            # A mapping may do without; a job whose records become profiles may not.
            hint = "for example by: [amplitude_user_id, amplitude_id]"
            raise refusal(found, "E404", "'by' is missing: the fields that identify a person", hint=hint)
        return self.hashing(found)

    def hashing(self, mapping: Mapping) -> Mapping:
        """The mapping with the lake's key for fields that are marked `pii`, if it has one. Raises ConfigurationError where
        the key is not set, or a field cannot be hashed."""
        if self.jobs.pii_key is None or not any(field.pii for field in mapping.fields):
            return mapping
        key = Secret(resolve_variables(self.jobs.pii_key.get_secret_value(), "pii_key"))
        hashed = replace(mapping, pii_key=key)
        check_hashing(hashed)
        return hashed

    def identifiers_of(self, key: str, value: str) -> list[tuple[str, str]]:
        """The identifiers that KEY=VALUE may mean in the lake: as it is, and hashed where the field is."""
        if self.jobs.pii_key is None:
            return [(key, value)]
        mappings = [self.mapping(job) for job in self.jobs.imports.values()]
        return list(dict.fromkeys([(key, value), *((key, hashed_value(mapping, key, value)) for mapping in mappings)]))

    def identifier_hashing(self) -> str:
        """How the identifiers of all jobs are hashed, as a text that tells nothing about the key; empty where they are not."""
        return identifier_hashing(self.mapping(job) for job in self.jobs.imports.values())

    def client(self, job: ImportJob) -> AmplitudeClient:
        """A client with the keys of the job's authorization."""
        return self.client_of(job.authorization)

    def client_of(self, authorization: str) -> AmplitudeClient:
        """A client with the keys of an authorization."""
        return client_of(self.find_keys(authorization, self.jobs), self.clock)


def open_project(path: Path, clock: Clock | None = None) -> Project:
    """A project from a jobs file. Raises ConfigurationError with every fault of the file."""
    return Project(path, load_jobs(path), clock or Clock())
