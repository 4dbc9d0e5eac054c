"""What `check` looks at of forwarding jobs beyond their configuration: inboxes, and the keys of where events go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from etl.clients.mparticle import MparticleClient
from etl.destinations.refusals import check_refusal
from etl.errors import BadRequest
from etl.jobs_forwarding import AmplitudeDestination, ForwardingJob, MparticleDestination
from etl.pipeline.outgoing import feed_client
from etl.pipeline.project import Project
from etl.sources.inbox import look

_UNDECIDED = "not proven: there is no call for it that sends nothing. It answers an empty upload with 400"


def inbox_note(project: Project, name: str, job: ForwardingJob) -> str:
    """How many files the inbox of a job holds. Raises what a run would."""
    found = look(project.inbox(job), name)
    changed = f", {len(found.changed)} changed after they were sent" if found.changed else ""
    return f"{len(found.pending)} files waiting{changed}"


def keys_to_try(project: Project) -> Iterator[tuple[str, Callable[[], str]]]:
    """The event destinations that jobs use: what each is called, and what tries its keys without sending an event. It
    returns what is known then, and raises CredentialsError for wrong ones."""
    used = dict.fromkeys(job.destination for job in project.jobs.forwardings.values())
    imported = {job.authorization for job in project.jobs.imports.values()}
    for name in used:
        destination = project.jobs.destinations[name]
        if isinstance(destination, AmplitudeDestination):
            if destination.authorization not in imported:  # else its keys are tried already
                yield f"destination {name}", partial(_amplitude, project, destination.authorization)
        elif isinstance(destination, MparticleDestination):
            for feed in destination.feeds:
                yield f"feed {feed} of destination {name}", lambda name=name, feed=feed: _feed(feed_client(project, name, feed))  # type: ignore[misc]


def _amplitude(project: Project, authorization: str) -> str:
    with project.client_of(authorization) as client:
        if client.has_secret:
            return f"{len(client.list_cohorts())} cohorts listed with its keys"
        try:
            client.upload([])
        except BadRequest as error:
            check_refusal(error, "Amplitude")
            return f"API key {_UNDECIDED}: {error.value or error.what}"
    return "API key accepted with an empty upload"


def _feed(client: MparticleClient) -> str:
    with client:
        try:
            client.send_bulk([])
        except BadRequest as error:
            check_refusal(error, "mParticle")
            return f"key and secret not refused, but {_UNDECIDED}: {error.value or error.what}"
    return "key and secret accepted with an empty request"
