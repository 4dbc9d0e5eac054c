"""Nami ML's webhooks to records, and through the shipped mappings to Amplitude's events and mParticle's batches."""

from __future__ import annotations

from typing import Any

import pytest

from etl.errors import ConfigurationError
from etl.mapping import load_mapping
from etl.mapping.apply import EventMapping
from etl.settings import packaged_mappings
from etl.sources.nami import EVENT_TYPES, NamiOptions, records
from etl.sources.webhooks import Skipped

TO_AMPLITUDE, TO_MPARTICLE = (EventMapping(load_mapping(f"nami_to_{name}", [packaged_mappings()])) for name in ("amplitude", "mparticle"))
ATTRIBUTES = [
    "active_entitlements", "active_skus", "device_ids", "device_platforms", "former_subscriber", "in_grace_period", "in_intro_offer_period",
    "in_trial_period",
]  # fmt: skip
STATE = {"former_subscriber": False, "in_grace_period": False, "in_trial_period": True, "in_intro_offer_period": False, "in_pause": False}


def webhook(event_type: str, **members: Any) -> dict[str, Any]:
    return {
        "id": "evt-1",
        "event_type": event_type,
        "event_platform": "apple",
        "created_date": "2024-03-02T00:12:30.227760+00:00",
        "user_id": "nami-7",
        "external_ids": [{"key": "original_transaction_id", "value": "1"}, {"key": "external_id", "type": "uuid", "value": "u-1042"}],
        "active_entitlements": [
            {"entitlement_ref_id": "premium", "sku_ref_id": "sku_a"},
            {"entitlement_ref_id": "extra", "sku_ref_id": "sku_a"},
        ],
        "customer_journey_state": STATE,
        "devices": [{"id": "d-1", "platform": {"id": "p-1"}}, {"id": "d-2", "platform": None}],
    } | members


def sent(to: EventMapping, one: dict[str, Any], options: NamiOptions | None = None) -> dict[str, Any] | str:
    (found,) = records(one, options or NamiOptions())
    return found.reason if isinstance(found, Skipped) else to.event(found) or {}


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_all_thirteen_events(event_type: str) -> None:
    event, batch = sent(TO_AMPLITUDE, webhook(event_type)), sent(TO_MPARTICLE, webhook(event_type))
    assert isinstance(event, dict) and isinstance(batch, dict)
    assert {name: event[name] for name in ("user_id", "event_type", "time", "insert_id")} == {
        "user_id": "u-1042",
        "event_type": event_type,
        "time": 1709338350227,
        "insert_id": "evt-1",
    }
    assert batch["user_identities"] == {"customer_id": "u-1042"}
    assert batch["events"][0]["data"]["timestamp_unixtime_ms"] == 1709338350227
    for attributes in (event.get("user_properties", {}), batch.get("user_attributes", {})):
        assert sorted(attributes) == [f"namiml_{name}" for name in ATTRIBUTES if event_type.startswith("user.")]


def test_the_attributes_of_a_user() -> None:
    event = sent(TO_AMPLITUDE, webhook("user.journey.trial.started"))
    batch = sent(TO_MPARTICLE, webhook("user.journey.trial.started"))
    assert isinstance(event, dict) and isinstance(batch, dict)
    assert event["user_properties"] == {
        "namiml_active_entitlements": ["premium", "extra"],
        "namiml_active_skus": ["sku_a"],
        "namiml_device_ids": ["d-1", "d-2"],
        "namiml_device_platforms": ["p-1"],
        "namiml_former_subscriber": False,
        "namiml_in_grace_period": False,
        "namiml_in_trial_period": True,
        "namiml_in_intro_offer_period": False,
    }
    texts = {True: "true", False: "false"}
    assert batch["user_attributes"] == {
        name: texts[value] if isinstance(value, bool) else value for name, value in event["user_properties"].items()
    }


def test_lists_that_are_empty_are_sent_and_lists_that_are_not_there_are_not() -> None:
    gone = webhook("user.subscription.expired", active_entitlements=[])
    del gone["devices"]
    event = sent(TO_AMPLITUDE, gone)
    assert isinstance(event, dict)
    assert event["user_properties"]["namiml_active_skus"] == []
    assert "namiml_device_ids" not in event["user_properties"]


def test_which_id_is_the_users() -> None:
    one = webhook("user.subscription.renewed")
    chosen = NamiOptions(user_id="nami_user_id")
    assert [event["user_id"] for event in (sent(TO_AMPLITUDE, one), sent(TO_AMPLITUDE, one, chosen)) if isinstance(event, dict)] == [
        "u-1042",
        "nami-7",
    ]
    beside = webhook("device.impression", external_ids=None, external_id=7)
    event = sent(TO_AMPLITUDE, beside)
    assert isinstance(event, dict) and event["user_id"] == "7"


def test_what_is_skipped_and_why() -> None:
    assert sent(TO_AMPLITUDE, webhook("user.subscription.renewed", external_ids=[])) == "no_external_id"
    assert sent(TO_AMPLITUDE, webhook("device.session.start")) == "not_selected"
    assert sent(TO_AMPLITUDE, webhook("user.subscription.paused"), NamiOptions(frozenset({"device.impression"}))) == "not_selected"
    nobody = webhook("device.impression", user_id=None)
    assert sent(TO_AMPLITUDE, nobody, NamiOptions(user_id="nami_user_id")) == "no_nami_user_id"
    with pytest.raises(ConfigurationError, match=r"did you mean 'device\.impression'"):
        NamiOptions(frozenset({"device.impresion"}))
    with pytest.raises(ConfigurationError, match="external_id or nami_user_id"):
        NamiOptions(user_id="email")  # type: ignore[arg-type]
