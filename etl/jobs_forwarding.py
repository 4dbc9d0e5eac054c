"""The part of `jobs.yaml` about forwarding: where events are sent on to, and the jobs that do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from etl.jobs_strict import Strict

NamiEvent = Literal[
    "device.impression",
    "device.transaction",
    "user.journey.trial.converted",
    "user.journey.trial.did_not_convert",
    "user.journey.trial.started",
    "user.subscription.cancelled",
    "user.subscription.expired",
    "user.subscription.in_grace_period",
    "user.subscription.paused",
    "user.subscription.purchased",
    "user.subscription.renewal_in_grace_period",
    "user.subscription.renewed",
    "user.subscription.resumed",
]


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Ids are numbers in Customer.io's URLs, where people copy them from.
Id = Annotated[str, BeforeValidator(_text_of_number), WithJsonSchema({"type": ["string", "integer"]})]


class AmplitudeDestination(Strict):
    """An Amplitude project that events are uploaded to. Of its authorization only the API key is used."""

    type: Literal["amplitude"]
    authorization: str
    endpoint: Literal["httpapi", "batch"] = Field("httpapi", description="HTTP V2 for live events, Batch for bursts and history.")
    min_id_length: int | None = Field(None, ge=1, description="Accept shorter user and device ids than Amplitude's 5 characters.")


class MparticleFeed(Strict):
    """A feed of mParticle for one platform."""

    key: SecretStr = Field(description="The feed's Server to Server key, best as ${MPARTICLE_IOS_KEY}.")
    secret: SecretStr = Field(description="The feed's Server to Server secret, best as ${MPARTICLE_IOS_SECRET}.")


class MparticleDestination(Strict):
    """Feeds of an mParticle workspace, one per platform."""

    type: Literal["mparticle"]
    pod: Literal["us1", "us2", "eu1", "au1"] = "us1"
    environment: Literal["production", "development"] = "production"
    feeds: dict[str, MparticleFeed] = Field(min_length=1, description="By platform, as the events name it; `default`: for all others.")
    base_url: str | None = Field(None, description="Another server than mParticle's: a sandbox or a proxy.")


class ForwardingJob(Strict):
    """Sends the events of an inbox on, each once."""

    label: str = ""
    description: str = ""
    inbox: str = Field(description="Folder of JSON lines, which `profilemill receive` fills, or a bucket: s3://name/folder.")
    destination: str = Field(description="A destination of type amplitude or mparticle.")
    mapping: str | None = Field(None, description="Another mapping than <source>_to_<type of the destination>.")
    history: bool = Field(False, description="Old events: sent in bulk, and without changing the user properties that are there.")
    keep_updated: bool = Field(True, description="Run by schedule; false: by hand only.")
    every_minutes: int = Field(5, ge=1, le=24 * 60, description="How often new files are looked for.")

    @property
    def source(self) -> str:
        return str(getattr(self, "type"))  # noqa: B009 (the subclasses declare it)


class NamiJob(ForwardingJob):
    """Forwards events of Nami ML."""

    type: Literal["nami"]
    events: list[NamiEvent] = Field(default_factory=list, description="The event types that are sent; empty: all 13.")
    user_id: Literal["external_id", "nami_user_id"] = Field("external_id", description="Which of the two ids is the user's.")


class CustomerioJob(ForwardingJob):
    """Forwards the reporting webhooks of Customer.io."""

    type: Literal["customerio"]
    events: list[str] = Field(default_factory=list, description="The events that are sent, such as email_sent; empty: all.")
    body_content: bool = Field(False, description="Send the first 1,024 characters of messages, too.")
    account_id: Id | None = Field(None, description="Sent as a group: Customer.io's webhooks do not tell it.")
    workspace_id: Id | None = Field(None, description="Sent as a group: Customer.io's webhooks do not tell it.")
