"""Identify and Group Identify, against a stand-in that shares no code with the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etl import errors
from etl.clients.amplitude import AmplitudeClient
from tests.clients.service import API_KEY, FakeTime, Reply, Service, as_json

PATH, GROUPS = "/identify", "/groupidentify"
SUCCESS = Reply(200, b"success", {"Content-Type": "text/plain"})
PLAIN = {"user_id": "u-1042", "user_properties": {"plan": "pro"}}
SETS = {"user_id": "u-1042", "user_properties": {"$set": {"plan": "pro"}}}
ADDS = {"user_id": "u-1042", "user_properties": {"$add": {"orders": 1}}}


def test_it_is_a_form_with_all_operations(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, SUCCESS)
    properties: dict[str, Any] = {
        "$set": {"a": 1}, "$setOnce": {"b": "x & y=é"}, "$add": {"c": -1.5}, "$append": {"d": [1]}, "$prepend": {"e": 1},
        "$preInsert": {"f": 1}, "$postInsert": {"g": [1, 2]}, "$remove": {"h": 1}, "$unset": {"i": "-"}, "$clearAll": "-",
    }  # fmt: skip
    client.identify([{"userId": "u-1042", "osName": "ios", "userProperties": properties}, {**PLAIN, "device_id": "d"}])
    (seen,) = service.seen
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    form = seen.form()
    assert set(form) == {"api_key", "identification"}
    assert form["api_key"] == API_KEY
    assert json.loads(form["identification"]) == [
        {"user_id": "u-1042", "os_name": "ios", "user_properties": properties},
        {**PLAIN, "device_id": "d"},
    ]


def test_default_ids_are_filled_in(service: Service) -> None:
    service.on(PATH, SUCCESS)
    with AmplitudeClient(API_KEY, None, base_url=service.url, device_id="phone", session_id=1709338350000) as client:
        client.identify({"user_properties": {"plan": "pro"}})
    assert json.loads(service.seen[0].form()["identification"]) == [{"device_id": "phone", "user_properties": {"plan": "pro"}}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"user_id": "u", "user_properties": {"$set": {"a": 1}, "plan": "pro"}},
            (
                "Operations and plain properties cannot be mixed (index 0, field user_properties): $set, plan\n"
                "  Next: put the plain ones into $set: {'$set': {'plan': ...}}"
            ),
        ),
        (
            {"user_id": "u", "user_properties": {"$setonce": {"a": 1}}},
            (
                "Unknown operation (index 0, field user_properties): $setonce\n  Next: did you mean '$setOnce'? there are "
                "$set, $setOnce, $preInsert, $postInsert, $remove, $unset, $clearAll, $add, $append, $prepend"
            ),
        ),
        (
            {"user_id": "u", "user_properties": {"$add": {"a": "1"}}},
            "$add needs numbers (index 0, field user_properties, property a): '1'\n  Next: use $set for anything else",
        ),
        (
            {"user_id": "u", "user_properties": {"$set": 1}},
            "An operation needs an object of properties (index 0, field user_properties, operation $set)",
        ),
        (
            {"user_id": "u", "user_properties": {}},
            (
                "There are no properties to change (index 0, field user_properties)\n"
                "  Next: give user_properties as an object that is not empty"
            ),
        ),
        ({"user_properties": {"a": 1}}, "An identification needs user_id or device_id (index 0)"),
    ],
)
def test_what_cannot_be_right_is_not_sent(client: AmplitudeClient, service: Service, given: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        client.identify(given)
    assert str(caught.value) == message
    assert service.seen == []


def test_more_than_a_request_holds_is_not_sent(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, SUCCESS)
    client.identify([PLAIN] * 1024)
    with pytest.raises(errors.ConfigurationError, match="At most 1,024 can be changed at once: 1,025"):
        client.identify([PLAIN] * 1025)
    assert service.count(PATH) == 1


def test_groups_are_identified(client: AmplitudeClient, service: Service) -> None:
    service.on(GROUPS, SUCCESS)
    client.group_identify("workspace", ["56354", "56355"], {"$set": {"plan": "team"}})
    assert json.loads(service.seen[0].form()["identification"]) == [
        {"group_type": "workspace", "group_value": value, "group_properties": {"$set": {"plan": "team"}}} for value in ("56354", "56355")
    ]
    with pytest.raises(errors.ConfigurationError, match="cannot be mixed"):
        client.group_identify("workspace", "1", {"$set": {"plan": "team"}, "plan": 1})
    for kind, values in (("", "1"), ("w", ""), ("w", [])):
        with pytest.raises(errors.ConfigurationError, match="needs a type and a value"):
            client.group_identify(kind, values, {"plan": 1})
    assert service.count(GROUPS) == 1


@pytest.mark.parametrize("trouble", [as_json(429, code=429, error="slow"), Reply(503)])
@pytest.mark.parametrize("given", [PLAIN, SETS, ADDS])
def test_it_is_repeated_where_nothing_was_done(client: AmplitudeClient, service: Service, trouble: Reply, given: dict[str, Any]) -> None:
    service.on(PATH, trouble, SUCCESS)
    client.identify(given)
    assert service.count(PATH) == 2


@pytest.mark.parametrize("trouble", [Reply(500), Reply(502), Reply(504), Reply(then="reset-at-once"), Reply(200, b"<html>")])
def test_only_what_may_happen_twice_is_repeated_in_doubt(client: AmplitudeClient, service: Service, trouble: Reply) -> None:
    service.on(PATH, trouble, SUCCESS)
    client.identify(SETS)
    assert service.count(PATH) == 2
    service.on(PATH, trouble, SUCCESS)
    with pytest.raises(errors.TransientError):
        client.identify([SETS, ADDS])
    assert service.count(PATH) == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, b"missing_event"), errors.BadRequest),
        (Reply(400, b"invalid_api_key"), errors.CredentialsError),
        (Reply(403, b"{}"), errors.FatalError),
        (Reply(413), errors.PayloadTooLarge),
        (Reply(414), errors.PayloadTooLarge),
    ],
)
def test_a_refusal_is_final(
    client: AmplitudeClient, service: Service, time: FakeTime, reply: Reply, error: type[errors.ProfilemillError]
) -> None:
    service.on(PATH, reply)
    with pytest.raises(error) as caught:
        client.identify(PLAIN)
    assert type(caught.value) is error
    assert (service.count(PATH), time.slept) == (1, [])


def test_any_number_goes_out_within_the_limits_and_is_checked_first(client: AmplitudeClient, service: Service) -> None:
    service.on(PATH, SUCCESS, SUCCESS, SUCCESS, Reply(400, b"missing_event"))
    few = [{"user_id": f"user-{n}", "user_properties": {"plan": "pro"}} for n in range(1030)]
    long = [{"user_id": f"user-{n}", "user_properties": {"plan": "\u00fc" * 1000}} for n in range(200)]
    assert list(client.identify_all(few)) == [1024, 6]
    with pytest.raises(errors.BadRequest) as caught:
        list(client.identify_all(long))
    assert all(len(seen.body) <= 1_000_000 for seen in service.seen) and len(service.seen[2].body) > 900_000
    sent = [item for seen in service.seen[2:] for item in json.loads(seen.form()["identification"])]
    assert sent == long[: len(sent)]
    assert caught.value.where["acknowledged"] == str(len(json.loads(service.seen[2].form()["identification"])))
    with pytest.raises(errors.ConfigurationError, match="index 1024"):
        list(client.identify_all([*few[:1024], {"user_id": "u-1042"}]))
    assert len(service.seen) == 4


@pytest.mark.parametrize(("given", "warned"), [(ADDS, True), (SETS, False)])
def test_what_may_have_been_done_is_not_to_be_run_again_unseen(
    client: AmplitudeClient, service: Service, given: dict[str, Any], warned: bool
) -> None:
    service.on(PATH, Reply(500))
    with pytest.raises(errors.ServerError) as caught:
        client.identify(given)
    assert ("could count twice" in (caught.value.next_step or "")) is warned
