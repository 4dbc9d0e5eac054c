"""Events and identifications sent to a sandbox, and what its export then shows."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
import requests

from etl.sandbox.events import COLUMNS
from etl.sandbox.properties import changed

TIME = 1669200000000  # 2022-11-23T10:40:00Z


@pytest.fixture
def event() -> dict[str, Any]:
    return {"event_type": "Order Completed", "user_id": "u-1042", "device_id": "phone-1", "time": TIME, "insert_id": "i1"}


def send(browser, *events, path: str = "/2/httpapi", **more: Any) -> requests.Response:
    return browser.post(path, {"api_key": "key", "events": list(events), **more})


def identify(browser, found: Any, path: str = "/identify", key: str = "key") -> requests.Response:
    form = {"api_key": key, "identification": found if isinstance(found, str) else json.dumps(found)}
    return browser.session.post(browser.running.url + path, data=form, timeout=20)


def exported(browser, hand, hours: int = 4) -> list[dict[str, Any]]:
    """The rows of the hour that the hand's clock shows, some hours later."""
    hour = f"{hand.time:%Y%m%dT%H}"
    hand.time += timedelta(hours=hours)
    answer = browser.get("/api/2/export", start=hour, end=hour)
    if answer.status_code == 404:
        return []
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return [json.loads(line) for name in archive.namelist() for line in gzip.decompress(archive.read(name)).splitlines()]


# The round trip


def test_an_event_comes_back_from_the_export_with_the_servers_fields(browse, hand, event):
    browser = browse()
    sent = event | {
        "event_properties": {"total": 12.5, "tags": ["a", None], "long": "x" * 1100},
        "user_properties": {"plan": "pro"},
        "groups": {"workspace": "7"},
        "app_version": "4.2",
        "carrier": "Telenor",
        "device_model": "Pixel 6",
        "platform": "Android",
        "language": "nb-NO",
        "ip": "$remote",
        "price": 5.5,
        "quantity": 2,
    }
    answer = send(browser, sent)
    assert answer.json() == {
        "code": 200,
        "events_ingested": 1,
        "payload_size_bytes": int(answer.request.headers["Content-Length"]),
        "server_upload_time": 1669204800000,
    }
    assert browser.get("/api/2/export", start="20221123T12", end="20221123T12").status_code == 404  # not before three hours
    (row,) = exported(browser, hand)
    assert set(row) == set(COLUMNS)
    filled = {key: value for key, value in row.items() if value is not None}
    assert len(filled.pop("uuid")) == 36
    assert filled.pop("event_id") > 10**8
    assert filled == {
        "$insert_id": "i1",
        "app": 123456,
        "amplitude_id": row["amplitude_id"],
        "user_id": "u-1042",
        "device_id": "phone-1",
        "event_type": "Order Completed",
        "data_type": "event",
        "session_id": -1,
        "event_time": "2022-11-23 10:40:00",
        "client_event_time": "2022-11-23 10:40:00",
        "client_upload_time": "2022-11-23 12:00:00",
        "server_received_time": "2022-11-23 12:00:00",
        "server_upload_time": "2022-11-23 12:00:00",
        "processed_time": "2022-11-23 12:00:00",
        "event_properties": {
            "total": 12.5,
            "tags": ["a", None],
            "long": "x" * 1024,
            "$price": 5.5,
            "$quantity": 2,
            "$revenue": 11.0,
        },
        "user_properties": {"plan": "pro"},
        "groups": {"workspace": ["7"]},
        "group_properties": {"workspace": {"7": {}}},
        "data": {"path": "/2/httpapi", "group_ids": {}, "group_first_event": {}, "user_properties_updated": True},
        "plan": {},
        "platform": "Android",
        "device_type": "Pixel 6",
        "device_carrier": "Telenor",
        "version_name": "4.2",
        "start_version": "4.2",
        "language": "Norwegian",
        "ip_address": "127.0.0.1",
        "library": "http/2.0",
        "paying": True,
    }


def test_a_batch_shows_as_one_and_the_same_hour_gives_the_same_rows(browse, hand, event):
    browser = browse(export_delay=timedelta(0))
    send(browser, event, event | {"insert_id": "i2", "time": None, "session_id": 1669200000001}, path="/batch")
    first, second = exported(browser, hand, hours=0)
    assert (first["library"], first["data"]["path"]) == ("batch/1.0", "/batch")
    assert (second["event_time"], second["session_id"]) == ("2022-11-23 12:00:00", 1669200000001)
    assert first["uuid"] != second["uuid"]
    assert exported(browser, hand, hours=0) == [first, second]


def test_an_insert_id_counts_once_in_seven_days_by_device(browse, hand, event):
    browser = browse(export_delay=timedelta(0))
    assert send(browser, event, event).json()["events_ingested"] == 2
    send(browser, event, path="/batch")
    send(browser, event | {"device_id": "phone-2"})
    assert browser.get("/_sandbox/tracked").json()["insert_ids"] == ["i1", "i1"]
    hand.time += timedelta(days=7, seconds=-1)
    send(browser, event)
    assert browser.get("/_sandbox/tracked").json()["duplicates"] == 3
    hand.time += timedelta(seconds=1)
    send(browser, event)
    assert browser.get("/_sandbox/tracked").json()["stored"] == 3


def test_without_insert_ids_the_event_id_its_time_and_the_device_count(browse, event):
    browser = browse()
    plain = event | {"insert_id": None, "event_id": 5}
    send(browser, plain, plain, plain | {"time": TIME + 1}, event | {"insert_id": None}, event | {"insert_id": None})
    assert browser.get("/_sandbox/tracked").json() == {
        "stored": 4, "duplicates": 1, "identifications": 0, "group_identifications": 0, "insert_ids": [None] * 4, "groups": {},
    }  # fmt: skip


def test_people_keep_their_amplitude_id_and_events_without_a_device_get_one(browse, hand):
    browser = browse(export_delay=timedelta(0), inline_members=1000)
    seen = {"event_type": "seen", "device_id": "phone-9"}
    by = {name: {"event_type": "seen", "user_id": name} for name in ("u-7777", "u-1010")}
    send(browser, seen, seen | {"user_id": "u-7777"}, seen, seen | {"user_id": "u-8888"}, by["u-7777"], by["u-1010"])
    rows = exported(browser, hand, hours=0)
    assert [row["user_id"] for row in rows] == [None, "u-7777", "u-7777", "u-8888", "u-7777", "u-1010"]
    ids = [row["amplitude_id"] for row in rows]
    assert ids[0] == ids[1] == ids[2] == ids[4] != ids[3]
    assert rows[4]["device_id"] not in (None, "phone-9")
    request_id = browser.ready(browser.cohorts()["Everybody"]["id"])
    assert f'"{ids[5]}","u-1010"' in browser.get(f"/api/5/cohorts/request/{request_id}/file").text


# What is refused


@pytest.mark.parametrize("path", ["/2/httpapi", "/batch"])
def test_bad_requests_have_amplitudes_words(browse, event, path):
    browser = browse()
    url = browser.running.url + path
    assert requests.post(url, timeout=20).json() == {"code": 400, "error": "Missing request body"}
    for body in (b"{", b"[]", b"\xff", b'{"api_key": "key", "events": [NaN]}'):
        assert requests.post(url, body, timeout=20).json() == {"code": 400, "error": "Invalid JSON request body"}
    assert browser.post(path, {"events": [event]}).json() == {
        "code": 400,
        "error": "Request missing required field",
        "missing_field": "api_key",
    }
    assert browser.post(path, {"api_key": "key"}).json()["missing_field"] == "events"
    wrong = browser.post(path, {"api_key": "other", "events": [event]})
    assert (wrong.status_code, wrong.json()) == (400, {"code": 400, "error": "Invalid API key: other"})
    assert browser.post(path, {"api_key": "key", "events": event}).json() == {"code": 400, "error": "Invalid event JSON"}


FAULTY = [
    {"event_type": "a", "user_id": "u-1042"},
    {"user_id": "u-1042"},
    {"event_type": "", "user_id": "u-1042"},
    {"event_type": "a"},
    {"event_type": "a", "user_id": "u-1042", "device_id": "d"},
    {"event_type": "a", "user_id": "bob"},
    {"event_type": "a", "user_id": "Anonymous"},
    {"event_type": "a", "user_id": "u-1042", "time": "2022-11-23"},
    {"event_type": "a", "user_id": "u-1042", "time": 1.5},
    {"event_type": "a", "user_id": "u-1042", "event_properties": []},
]


def test_batch_names_every_event_at_fault_and_keeps_none(browse):
    browser = browse()
    answer = send(browser, *FAULTY, path="/batch")
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "code": 400,
            "error": "Request missing required field",
            "events_with_missing_fields": {"event_type": [1, 2], "user_id": [3]},
            "events_with_invalid_id_lengths": {"device_id": [4], "user_id": [5]},
            "events_with_invalid_fields": {"user_id": [6], "time": [7, 8], "event_properties": [9]},
        },
    )
    assert browser.get("/_sandbox/tracked").json()["stored"] == 0


def test_http_v2_names_the_first_of_each_kind(browse):
    found = send(browse(), *FAULTY).json()
    assert found["events_with_missing_fields"] == {"event_type": [1], "user_id": [3]}
    assert found["events_with_invalid_fields"]["time"] == [7]


def test_the_shortest_id_is_the_requests_own(browse):
    browser = browse()
    short = {"event_type": "a", "user_id": "bob"}
    refused = send(browser, short).json()
    assert (refused["error"], refused["events_with_invalid_id_lengths"]) == (
        "Invalid id length for user_id or device_id",
        {"user_id": [0]},
    )
    assert send(browser, short, options={"min_id_length": 1}).status_code == 200
    assert send(browser, short | {"user_id": "0"}, options={"min_id_length": 1}).status_code == 400


def test_more_than_a_request_may_hold_is_too_large(browse, event):
    browser = browse(events_per_second=None, batch_events_per_second=None)
    large = event | {"event_properties": {"text": "x" * 1_000_000}}
    for refused in (send(browser, large), send(browser, *[event] * 2001), send(browser, *[event] * 2001, path="/batch")):
        assert (refused.status_code, refused.json()) == (413, {"code": 413, "error": "Payload too large"})
    assert send(browser, large, path="/batch").status_code == 200
    assert send(browser, *[event] * 2000).status_code == 200


def test_one_device_may_send_so_much_in_half_a_minute(browse, hand, event):
    browser = browse()
    other = {"event_type": "a", "device_id": "phone-2"}
    assert send(browser, *[event] * 900).status_code == 200
    refused = send(browser, other, event, other)
    assert (refused.status_code, refused.json()) == (
        429,
        {
            "code": 429,
            "error": "Too many requests for some devices and users",
            "eps_threshold": 30,
            "throttled_devices": {"phone-1": 31},
            "throttled_users": {"u-1042": 31},
            "throttled_events": [1],
        },
    )
    assert send(browser, other).status_code == 200
    hand.time += timedelta(seconds=30)
    assert send(browser, event).status_code == 200


def test_batch_has_a_quota_by_day(browse, hand, event):
    browser = browse(daily_events=3)
    send(browser, event, event, path="/batch")
    refused = send(browser, event, event, path="/batch").json()
    assert (refused["exceeded_daily_quota_devices"], refused["exceeded_daily_quota_users"]) == ({"phone-1": 4}, {"u-1042": 4})
    assert (refused["throttled_devices"], refused["throttled_events"]) == ({}, [])
    hand.time += timedelta(days=1)
    assert send(browser, event, event, path="/batch").status_code == 200


# Identify


def test_identified_properties_show_from_the_next_event_on(browse, hand, event):
    browser = browse(export_delay=timedelta(0))
    send(browser, event | {"user_properties": {"plan": "free", "n": 1}})
    assert identify(browser, {"user_id": "u-1042", "user_properties": {"$set": {"plan": "pro"}, "$add": {"n": 2}}}).text == "success"
    send(browser, event | {"insert_id": "i2"})
    send(browser, event | {"insert_id": "i3", "user_properties": {"plan": "old"}, "$skip_user_properties_sync": True})
    send(browser, {"event_type": "$identify", "user_id": "u-1042", "user_properties": {"$unset": {"n": "-"}}})
    send(browser, event | {"insert_id": "i4"})
    rows = exported(browser, hand, hours=0)
    assert [row["user_properties"] for row in rows] == [
        {"plan": "free", "n": 1}, {"plan": "pro", "n": 3}, {"plan": "old"}, {"plan": "pro"},
    ]  # fmt: skip


def test_groups_have_properties_too(browse, hand, event):
    browser = browse(export_delay=timedelta(0))
    group = {"group_type": "workspace", "group_value": "7", "group_properties": {"$set": {"plan": "team"}}}
    assert identify(browser, [group], "/groupidentify").text == "success"
    send(browser, {"event_type": "$groupidentify", "user_id": "u-1042", "groups": {"workspace": "8"}, "group_properties": {"plan": "solo"}})
    send(browser, event | {"groups": {"workspace": ["7", "8"]}})
    (row,) = exported(browser, hand, hours=0)
    assert row["group_properties"] == {"workspace": {"7": {"plan": "team"}, "8": {"plan": "solo"}}}


FAULTY_IDENTIFICATIONS = [
    ("/identify", "", "missing_event"),
    ("/identify", "{", "missing_event"),
    ("/identify", [1], "missing_event"),
    ("/identify", {"user_properties": {"a": 1}}, "missing_user_id_and_device_id"),
    ("/identify", {"user_id": "u", "user_properties": {"$set": {}, "a": 1}}, "invalid_user_properties"),
    ("/groupidentify", {"group_type": "w"}, "missing_group_type_or_group_value"),
    ("/groupidentify", {"group_type": "w", "group_value": "1", "group_properties": {"$set": {}, "a": 1}}, "invalid_group_properties"),
]


def test_identifications_at_fault(browse):
    browser = browse()
    for path, given, words in FAULTY_IDENTIFICATIONS:
        refused = identify(browser, given, path)
        assert (refused.status_code, refused.text.split(":")[0]) == (400, words)
        assert identify(browser, given, path, key="other").text == "invalid_api_key"
        assert requests.post(browser.running.url + path, timeout=20).text == "missing_api_key"
    assert browser.get("/_sandbox/tracked").json()["identifications"] == 0


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"$set": {"a": 2}, "$setOnce": {"a": 3, "b": 4}}, {"a": 2, "b": 4}),
        ({"n": 1.5}, {"$add": {"n": -2, "m": 3}}, {"n": -0.5, "m": 3}),
        ({"l": [1]}, {"$append": {"l": [2, 1], "m": 5}}, {"l": [1, 2, 1], "m": [5]}),
        ({"l": "x"}, {"$prepend": {"l": "y"}}, {"l": ["y", "x"]}),
        ({"l": [1, 2]}, {"$preInsert": {"l": [2, 3, 3]}}, {"l": [3, 1, 2]}),
        ({"l": [1, 2]}, {"$postInsert": {"l": [4, 2, 3]}}, {"l": [1, 2, 4, 3]}),
        ({"l": [1, 2, 1], "m": "x"}, {"$remove": {"l": 1, "m": ["x"], "o": 1}}, {"l": [2], "m": []}),
        ({"a": 1, "b": 2}, {"$unset": {"a": "-", "c": "-"}}, {"b": 2}),
        ({"a": 1, "b": 2}, {"$clearAll": "-"}, {}),
    ],
)
def test_the_operations(before, change, after):
    kept = dict(before)
    assert changed(before, change) == after
    assert before == kept


# Faults


def test_a_planned_refusal_has_the_form_of_these_apis(browse, event):
    found = {"user_id": "u-1042", "user_properties": {"a": 1}, "group_type": "w", "group_value": "1"}
    planned = [(route, status) for route in ("httpapi", "batch", "identify", "groupidentify") for status in (400, 403, 413, 429)]
    browser = browse(*(f"{route}:{status}" for route, status in planned))

    def ask(route: str) -> requests.Response:
        path = {"httpapi": "/2/httpapi"}.get(route, f"/{route}")
        return send(browser, event, path=path) if route in ("httpapi", "batch") else identify(browser, found, path)

    for route, status in planned:
        refused = ask(route)
        assert (refused.status_code, refused.json()["code"]) == (status, status)
    assert {ask(route).status_code for route, _ in planned} == {200}


def test_events_are_throttled_silenced_or_over_their_day_on_demand(browse, event):
    browser = browse("httpapi:throttled", "batch:daily", "httpapi:silenced")
    other = {"event_type": "a", "device_id": "phone-2"}
    assert send(browser, event, other, event).json()["throttled_events"] == [0, 2]
    daily = send(browser, event, other, path="/batch")
    assert (daily.status_code, daily.json()["exceeded_daily_quota_users"]) == (429, {"u-1042": 500001})
    silenced = send(browser, other, event)
    assert (silenced.status_code, silenced.json()["silenced_events"]) == (400, [0])
    assert browser.get("/_sandbox/tracked").json()["stored"] == 0
    assert send(browser, event, other).status_code == 200


@pytest.mark.parametrize("fault", ["stored", "reset"])
def test_what_was_kept_before_the_answer_failed_counts_once(browse, event, fault):
    browser = browse(f"httpapi:{fault}")
    if fault == "reset":
        with pytest.raises(requests.exceptions.RequestException):
            send(browser, event)
    else:
        assert send(browser, event).status_code == 500
    assert send(browser, event).status_code == 200
    found = browser.get("/_sandbox/tracked").json()
    assert (found["stored"], found["duplicates"]) == (1, 1)


def test_what_cannot_be_kept_leaves_the_fault_to_the_next_request(browse, event):
    browser = browse("httpapi:stored")
    assert send(browser, event | {"time": "never"}).status_code == 400
    assert [send(browser, event).status_code for _ in range(2)] == [500, 200]


def test_a_share_of_the_events_is_throttled_each_once(browse, hand):
    browser = browse("httpapi:throttled:10%", events_per_second=None)
    events = [{"event_type": "a", "user_id": f"user-{n}", "device_id": f"phone-{n}", "insert_id": f"i-{n}"} for n in range(1000)]
    refused = send(browser, *events).json()
    slow = refused["throttled_events"]
    assert 70 <= len(slow) <= 130 and refused["code"] == 429
    assert refused["throttled_users"] == {f"user-{n}": 31 for n in slow} and len(refused["throttled_devices"]) == len(slow)
    rest = [event for n, event in enumerate(events) if n not in slow]
    assert send(browser, *rest).status_code == 200, "everybody else may go at once"
    other = {"event_type": "a", "user_id": f"user-{slow[0]}", "insert_id": "another event of somebody who waits"}
    assert send(browser, other).json()["throttled_events"] == [0]
    hand.time += timedelta(seconds=29)
    assert send(browser, events[slow[0]]).status_code == 429
    hand.time += timedelta(seconds=1)
    assert send(browser, *(events[n] for n in slow)).status_code == 200
    assert browser.get("/_sandbox/tracked").json()["stored"] == 1000


def test_a_share_of_the_events_is_silenced_or_uses_up_a_day(browse, hand):
    events = [{"event_type": "a", "user_id": f"user-{n}", "insert_id": f"i-{n}"} for n in range(500)]
    silent = browse("batch:silenced:10%")
    silenced = send(silent, *events, path="/batch").json()["silenced_events"]
    assert 25 <= len(silenced) <= 80
    assert send(silent, *(event for n, event in enumerate(events) if n not in silenced), path="/batch").status_code == 200
    daily = browse("batch:daily:10%")
    over = send(daily, *events, path="/batch").json()["exceeded_daily_quota_users"]
    assert 25 <= len(over) <= 80
    assert send(daily, *(event for event in events if event["user_id"] not in over), path="/batch").status_code == 200
    hand.time += timedelta(days=1)
    assert send(daily, *(event for event in events if event["user_id"] in over), path="/batch").status_code == 200


@pytest.mark.parametrize("how", ["query", "form-data"])
def test_identifications_come_by_get_and_as_form_data_too(browse, hand, event, how):
    browser = browse(export_delay=timedelta(0))
    form = {"api_key": "key", "identification": json.dumps([{"user_id": "u-1042", "user_properties": {"$set": {"plan": "prö; a=1&b"}}}])}
    url = browser.running.url + "/identify"

    def ask(fields: dict[str, str]) -> requests.Response:
        if how == "query":
            return browser.session.get(url, params=fields, timeout=20)
        return browser.session.post(url, files={name: (None, value) for name, value in fields.items()}, timeout=20)

    assert ask(form).text == "success"
    assert (ask(form | {"api_key": "other"}).text, ask({"api_key": "key"}).text) == ("invalid_api_key", "missing_event")
    assert ask({"identification": "{}"}).text == "missing_api_key"
    long = ask(form | {"identification": json.dumps({"user_id": "u-1042", "user_properties": {"a": "x" * 9000}})})
    assert long.status_code == (414 if how == "query" else 200)
    send(browser, event)
    (row,) = exported(browser, hand, hours=0)
    assert row["user_properties"]["plan"] == "prö; a=1&b"
    assert "key" not in str([one["query"] for one in browser.running.state.asked()["requests"] if one["route"] == "identify"])


def test_a_share_of_the_requests_fails_evenly(browse, event):
    browser = browse("httpapi:503:25%")
    assert [send(browser, event).status_code for _ in range(8)] == [200, 200, 200, 503, 200, 200, 200, 503]


# As a proxy


def test_a_client_may_use_it_as_its_proxy(browse, event):
    browser = browse()
    session = requests.Session()
    session.trust_env = False
    session.proxies = {"http": browser.running.url}
    answer = session.post("http://api2.amplitude.com/2/httpapi", json={"api_key": "key", "events": [event]}, timeout=20)
    assert answer.json()["events_ingested"] == 1
    assert session.get("http://amplitude.com/api/3/cohorts?x=1", auth=("key", "secret"), timeout=20).status_code == 200
    assert browser.get("/_sandbox/requests").json()["counts"] == {"/2/httpapi": 1, "/api/3/cohorts?x=1": 1}
