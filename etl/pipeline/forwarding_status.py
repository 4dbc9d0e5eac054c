"""Where the forwarding jobs stand, read from the lake and their inboxes."""

from __future__ import annotations

from dataclasses import dataclass, field

from etl.errors import ProfilemillError
from etl.jobs_forwarding import ForwardingJob
from etl.pipeline.forwarded import forwarded_counts
from etl.pipeline.forwarding import read_quotas
from etl.pipeline.project import Project
from etl.sources import inbox


@dataclass
class ForwardingStatus:
    """A job's files in sum; events `left_out` are not meant to be sent. `pending` files have events to send; `changed` ones were
    written anew after they were sent. `quotas` tells whose daily quota is used up until when."""

    job: str
    source: str
    destination: str
    files: int = 0
    pending: int = 0
    changed: list[str] = field(default_factory=list)
    newest: str | None = None
    lines: int = 0
    events: int = 0
    acknowledged: int = 0
    rejects: int = 0
    duplicates: int = 0
    left_out: int = 0
    quotas: dict[str, str] = field(default_factory=dict)
    fault: str | None = None


def forwarding_status(project: Project, name: str, job: ForwardingJob) -> ForwardingStatus:
    """The state of one job. Asks nobody but the inbox and writes nothing."""
    found = ForwardingStatus(name, job.source, job.destination, **forwarded_counts(project.lake, name))
    found.quotas = {sender: until.isoformat(timespec="seconds") for sender, until in read_quotas(project, job).items()}
    try:
        seen = inbox.look(project.inbox(job), name)
        found.pending, found.changed = len(seen.pending), [file.name for file in seen.changed]
    except ProfilemillError as error:
        found.fault = str(error)
    return found
