"""Customer.io's webhooks to records, and through the shipped mapping to Amplitude's events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from etl.errors import ConfigurationError
from etl.jobs_forwarding import CustomerioJob
from etl.mapping import load_mapping
from etl.mapping.apply import EventMapping
from etl.settings import packaged_mappings
from etl.sources.customerio import CustomerioOptions, records
from etl.sources.webhooks import Skipped, Taken, object_of, records_of

SEED = json.loads((Path(__file__).parent / "seed_003_webhook.json").read_text(encoding="utf-8"))
SEED_EVENT = json.loads((Path(__file__).parent.parent / "sandbox/seed_003_event.json").read_text(encoding="utf-8"))
TO_AMPLITUDE = EventMapping(load_mapping("customerio_to_amplitude", [packaged_mappings()]))


def sent(webhook: dict[str, Any], options: CustomerioOptions | None = None) -> list[dict[str, Any] | str]:
    """What becomes of a webhook: events, and the reasons of what is skipped."""
    found = records(webhook, options or CustomerioOptions())
    return [one.reason if isinstance(one, Skipped) else TO_AMPLITUDE.event(one) or {} for one in found]


def test_the_documented_webhook_gives_the_documented_event() -> None:
    # The document's timestamp has lost its last digit: its event is of 1669045350000.
    webhook = SEED | {"timestamp": SEED["timestamp"] * 10}
    (event,) = sent(webhook, CustomerioOptions(body_content=True, account_id="1", workspace_id="56354"))
    assert isinstance(event, dict)
    assert event["user_id"] == SEED_EVENT["user_id"]
    assert (event.get("device_id"), event.get("platform")) == (None, SEED_EVENT["platform"])
    assert event["event_type"] == SEED_EVENT["event_type"] == "Sms Sent"
    assert event["time"] == SEED_EVENT["_time"]
    assert event["groups"] == SEED_EVENT["groups"]
    assert event["insert_id"] == SEED["event_id"]
    properties = event["event_properties"]
    shown = SEED_EVENT["event_properties"]
    # The document writes the telephone number without its +1 on that side.
    assert {name: properties[name] for name in shown} == shown | {"recipient": SEED["data"]["recipient"]}
    # What its example leaves out and its text names.
    assert {name: properties[name] for name in properties.keys() - shown.keys()} == {
        "trigger_id": 1,
        "identifiers.email": "cool.person@example.com",
        "identifiers.cio_id": "d9c106000001",
    }


def test_texts_of_messages_are_sent_only_when_wanted_and_cut() -> None:
    webhook = {"event_id": "e", "object_type": "email", "metric": "sent"}
    data = {"identifiers": {"id": "u-1"}, "content": "é" * 1030, "headers": {"X-A": ["1", "2"]}, "subject": "Hello"}
    (without,) = sent(webhook | {"data": data})
    (with_it,) = sent(webhook | {"data": data}, CustomerioOptions(body_content=True))
    assert isinstance(without, dict) and isinstance(with_it, dict)
    assert without["event_properties"] == {"subject": "Hello"}
    assert with_it["event_properties"] == {"subject": "Hello", "content": "é" * 1024, "headers.X-A": ["1", "2"]}


def test_preferences_are_no_text_of_a_message() -> None:
    webhook = {"object_type": "customer", "metric": "cio_subscription_preferences_changed"}
    (event,) = sent(webhook | {"data": {"identifiers": {"id": "u-1"}, "content": '{"topics": {}}'}})
    assert isinstance(event, dict)
    assert event["event_properties"]["content"] == '{"topics": {}}'


def test_a_push_is_an_event_of_each_device() -> None:
    recipients = [{"device_id": "t-1", "device_platform": "ios"}, {"device_id": "t-2", "device_platform": "web"}, {"failure_message": "x"}]
    webhook = {"event_id": "e", "object_type": "push", "metric": "sent", "timestamp": 1709338350, "data": {"recipients": recipients}}
    first, second, third = sent(webhook)
    assert isinstance(first, dict) and isinstance(second, dict)
    assert (first["device_id"], first["platform"], first["insert_id"]) == ("t-1", "iOS", "e-t-1")
    assert (second["device_id"], second["platform"], second["insert_id"]) == ("t-2", "Web", "e-t-2")
    assert third == "no_id_or_device"
    assert sent(webhook) == [first, second, third], "a repetition gives the same ids"


@pytest.mark.parametrize(
    ("data", "user", "device"),
    [
        ({"identifiers": {"id": "u-1", "email": "a@example.com"}}, "u-1", None),
        ({"identifiers": {"id": "0", "email": "a@example.com"}}, "a@example.com", None),
        ({"identifiers": {"id": 0, "email": "a@example.com"}}, "a@example.com", None),
        ({"identifiers": {"id": "00"}}, "00", None),
        ({"identifiers": {"id": None}, "recipients": [{"device_id": "t-1"}]}, None, "t-1"),
        ({"identifiers": {"id": "0"}, "recipients": {"device_id": "t-1"}}, None, "t-1"),
        ({"identifiers": {"id": "u-1"}, "recipients": []}, "u-1", None),
        ({"identifiers": {"id": "u-1"}, "recipients": "odd"}, "u-1", None),
    ],
)
def test_whose_event_it_is(data: dict[str, Any], user: str | None, device: str | None) -> None:
    (event,) = sent({"object_type": "push", "metric": "sent", "data": data})
    assert isinstance(event, dict)
    assert (event.get("user_id"), event.get("device_id")) == (user, device)


@pytest.mark.parametrize(
    "data",
    [None, "odd", {}, {"identifiers": None}, {"identifiers": {"id": None, "email": "a@example.com"}}, {"identifiers": {"id": ""}},
     {"identifiers": {"id": "0", "email": None}}, {"customer_id": "u-1", "recipients": [{"device_id": ""}]}],
)  # fmt: skip
def test_events_of_nobody_are_skipped(data: Any) -> None:
    assert sent({"object_type": "email", "metric": "sent", "data": data}) == ["no_id_or_device"]


def test_events_are_chosen_by_name() -> None:
    webhook = {"object_type": "in_app", "metric": "opened", "data": {"identifiers": {"id": "u"}}}
    assert sent(webhook, CustomerioOptions(frozenset({"email_sent"}))) == ["not_selected"]
    assert sent(webhook, CustomerioOptions(frozenset({"in_app_opened"}))) != ["not_selected"]
    with pytest.raises(ConfigurationError, match="did you mean 'email_sent'"):
        CustomerioOptions(frozenset({"emial_sent"}))


def test_an_event_without_an_id_gets_one_from_its_content() -> None:
    webhook = {"object_type": "email", "metric": "sent", "timestamp": 1709338350, "data": {"identifiers": {"id": "u-1"}}}
    (one,), (again,), (other,) = sent(webhook), sent(dict(reversed(webhook.items()))), sent(webhook | {"timestamp": 1709338351})
    assert isinstance(one, dict) and isinstance(again, dict) and isinstance(other, dict)
    assert one["insert_id"] == again["insert_id"] != other["insert_id"]


def test_every_line_is_counted() -> None:
    good = b'{"object_type": "email", "metric": "sent", "data": {"identifiers": {"id": "u-1"}}}'
    lines = [(1, good), (2, b"[1]"), (4, b"{oops ann@example.com"), (5, b'"\xff"'), (6, b'{"data": {}}'), (7, good)]
    taken = Taken()
    found = list(records_of(lines, lambda webhook: records(webhook, CustomerioOptions()), taken))
    assert [line for line, _ in found] == [1, 7]
    assert (taken.lines, taken.records, dict(taken.skipped)) == (6, 2, {"no_id_or_device": 1})
    assert [(bad.line, bad.code) for bad in taken.bad] == [(2, "not_an_object"), (4, "not_json"), (5, "not_utf8")]
    assert "ann@example.com" not in taken.bad[1].text


def test_half_a_surrogate_pair_is_replaced() -> None:
    line = rb'{"object_type": "sms", "data": {"\udc00": ["\ud83d", "\ud83d\ude00", 1], "customer_id": "\\ud83d"}}'
    assert object_of(line) == {"object_type": "sms", "data": {"\ufffd": ["\ufffd", "\U0001f600", 1], "customer_id": "\\ud83d"}}


def test_the_ids_of_groups_may_be_written_as_numbers() -> None:
    job = CustomerioJob.model_validate({"type": "customerio", "inbox": "i", "destination": "d", "account_id": 1, "workspace_id": "56354"})
    assert (job.account_id, job.workspace_id) == ("1", "56354")
    with pytest.raises(ValidationError):
        CustomerioJob.model_validate({"type": "customerio", "inbox": "i", "destination": "d", "account_id": True})
