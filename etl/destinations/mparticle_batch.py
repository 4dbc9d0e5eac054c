"""A mapped record as the batch that mParticle wants, and the published rules that it drops a batch for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

_Name = Annotated[StrictStr, Field(min_length=1, max_length=256)]
_Value = Annotated[StrictStr, Field(max_length=4096)]
_Entry = Annotated[StrictStr, Field(max_length=512)]
_UserAttribute = _Value | Annotated[list[_Entry], Field(max_length=1000)]
_Identity = Literal[
    "alias", "customer_id", "email", "facebook", "facebook_custom_audience_id", "google", "microsoft", "mobile_number",
    "other", "other_id_2", "other_id_3", "other_id_4", "other_id_5", "other_id_6", "other_id_7", "other_id_8", "other_id_9",
    "other_id_10", "phone_number_2", "phone_number_3", "twitter", "yahoo",
]  # fmt: skip


class _Data(BaseModel):
    timestamp_unixtime_ms: StrictInt | None = None
    source_message_id: StrictStr | None = None
    custom_attributes: Annotated[dict[_Name, _Value], Field(max_length=100)] | None = None


class _CustomData(_Data):
    event_name: _Name
    # `impression` is not among them, whatever an event is called.
    custom_event_type: Literal[
        "attribution", "location", "media", "navigation", "other", "search", "social", "transaction", "user_content", "user_preference",
    ]  # fmt: skip


class _CustomEvent(BaseModel):
    event_type: Literal["custom_event"]
    data: _CustomData


class _OtherEvent(BaseModel):
    event_type: Literal[
        "application_state_transition", "attribute_change", "commerce_event", "crash_report", "network_performance", "opt_out",
        "push_message", "screen_view", "session_end", "session_start", "user_attribute_change", "user_identity_change",
    ]  # fmt: skip
    data: _Data


class _Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    environment: Literal["development", "production"]
    source_request_id: StrictStr
    events: list[Annotated[_CustomEvent | _OtherEvent, Field(discriminator="event_type")]] = Field(min_length=1)
    user_identities: dict[_Identity, StrictStr] | None = None
    user_attributes: Annotated[dict[_Name, _UserAttribute], Field(max_length=100)] | None = None
    partner_identity: StrictStr | None = None
    device_info: dict[str, Any] | None = None
    application_info: dict[str, Any] | None = None
    ip: StrictStr | None = None
    mpid: StrictInt | None = None
    context: dict[str, Any] | None = None
    consent_state: dict[str, Any] | None = None
    integration_attributes: dict[str, Any] | None = None
    deleted_user_attributes: list[StrictStr] | None = None
    source_info: dict[str, Any] | None = None
    timestamp_unixtime_ms: StrictInt | None = None
    schema_version: StrictInt | None = None


def batch_of(mapped: Mapping[str, Any], key: str, environment: str) -> dict[str, Any]:
    """The batch: attributes as text, lists of them as lists of text, nulls left out, and the ids of a repetition.

    `source_request_id` is `key`; an event without a `source_message_id` gets it too, with its place in the batch where there
    are several.
    """
    given = {name: value for name, value in mapped.items() if value is not None}
    batch: dict[str, Any] = {"environment": environment} | given | {"source_request_id": key}
    if isinstance(attributes := batch.get("user_attributes"), Mapping):
        batch["user_attributes"] = _as_texts(attributes)
    events = batch.get("events")
    if isinstance(events, list):
        batch["events"] = [_event(event, key if len(events) == 1 else f"{key}#{place}") for place, event in enumerate(events)]
    return batch


def fault_of(batch: Mapping[str, Any]) -> str | None:
    """Which published rule the batch breaks, first fault first; None where it breaks none."""
    try:
        _Batch.model_validate(batch)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = first["loc"]
        # Behind an event's number stands its type, which is no place in the batch.
        path = [str(part) for number, part in enumerate(place) if not (number and isinstance(place[number - 1], int))]
        return f"{'.'.join(path)}: {first['msg']}"
    return None


def is_older(batch: Mapping[str, Any], moment: int) -> bool:
    """Whether each event of a batch that breaks no rule tells a time before `moment` (epoch milliseconds)."""
    times = [event["data"].get("timestamp_unixtime_ms") for event in batch["events"]]
    return all(time is not None and time < moment for time in times)


def _event(event: Any, key: str) -> Any:
    data = event.get("data") if isinstance(event, Mapping) else None
    if not isinstance(data, Mapping):
        return event
    made = {"source_message_id": key} | {name: value for name, value in data.items() if value is not None}
    if isinstance(attributes := made.get("custom_attributes"), Mapping):
        made["custom_attributes"] = {name: _joined(value) for name, value in _as_texts(attributes).items()}
    return {**event, "data": made}


def _as_texts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """mParticle's attributes are texts, or lists of texts; what is missing is left out."""
    return {
        name: [_as_text(one) for one in value if one is not None] if isinstance(value, list) else _as_text(value)
        for name, value in attributes.items()
        if value is not None
    }


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _joined(value: Any) -> Any:
    """An event's attributes have no lists."""
    return ",".join(str(one) for one in value) if isinstance(value, list) else value
