"""The dashboard's queries and the changes of cohorts, over sample data and over what was sent."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import requests

from etl.sandbox.data import export_members

SEARCH, ACTIVITY, SEGMENTS = "/api/2/usersearch", "/api/2/useractivity", "/api/2/events/segmentation"
NOV_21 = {"start": "20221121", "end": "20221121"}


@pytest.fixture
def events(small) -> list[dict[str, Any]]:
    """The sample's events, each once."""
    found: dict[object, dict[str, Any]] = {}
    for (hour, _), lines in export_members(small):
        for line in lines:
            try:
                event = json.loads(line.decode("utf-8-sig"))
            except ValueError:
                continue
            if isinstance(event, dict):
                found.setdefault((hour, event.get("uuid") or len(found)), event)
    return list(found.values())


def track(browser, *found: dict[str, Any]) -> None:
    answer = browser.post("/2/httpapi", {"api_key": "key", "events": list(found)})
    assert answer.status_code == 200, answer.text


# People


def test_people_are_found_by_every_id(browse, events):
    browser = browse()
    person = next(event for event in events if str(event.get("user_id")).startswith("u-10"))
    ids = {event["amplitude_id"] for event in events if event["user_id"] == person["user_id"]}
    exact = browser.get(SEARCH, user=person["user_id"]).json()
    assert (exact["type"], {one["amplitude_id"] for one in exact["matches"]}) == ("match_user_or_device_id", ids)
    by_number = browser.get(SEARCH, user=str(person["amplitude_id"])).json()
    assert (by_number["type"], [one["amplitude_id"] for one in by_number["matches"]]) == ("match_amplitude_id", [person["amplitude_id"]])
    assert person["amplitude_id"] in {one["amplitude_id"] for one in browser.get(SEARCH, user=person["device_id"]).json()["matches"]}
    prefix = browser.get(SEARCH, user="u-10").json()
    assert prefix["type"] == "match_user_prefix"
    assert all(one["user_id"].startswith("u-10") for one in prefix["matches"])
    assert browser.get(SEARCH, user="nobody-here").json() == {"matches": [], "type": "nomatch"}
    assert browser.get(SEARCH).status_code == 400


def test_an_identified_device_is_found_before_it_sent_an_event(browse):
    browser = browse()
    form = {"api_key": "key", "identification": json.dumps({"device_id": "été-1", "user_properties": {"plan": "pro"}})}
    browser.session.post(browser.running.url + "/identify", data=form, timeout=20)
    ((match,), kind) = browser.get(SEARCH, user="été-1").json().values()
    assert (match["user_id"], kind) == (None, "match_user_or_device_id")
    found = browser.get(ACTIVITY, user=match["amplitude_id"]).json()
    assert (found["userData"]["properties"], found["userData"]["device_ids"], found["events"]) == ({"plan": "pro"}, ["été-1"], [])


def test_activity_is_a_summary_and_the_events(browse, events):
    (amplitude_id, count), *_ = Counter(event["amplitude_id"] for event in events if event["amplitude_id"]).most_common(1)
    own = sorted((event for event in events if event["amplitude_id"] == amplitude_id), key=lambda event: event["event_time"])
    found = browse().get(ACTIVITY, user=amplitude_id).json()
    assert [event["event_time"] for event in found["events"]] == [event["event_time"] for event in reversed(own)]
    summary = found["userData"]
    assert (summary["canonical_amplitude_id"], summary["num_events"]) == (amplitude_id, count)
    assert (summary["first_used"], summary["last_used"]) == (own[0]["event_time"][:10], own[-1]["event_time"][:10])
    assert summary["platform"] == own[-1]["platform"]


def test_nobodys_activity_is_a_skeleton(browse):
    found = browse().get(ACTIVITY, user="5").json()
    assert (found["userData"]["canonical_amplitude_id"], found["events"]) == (1, [])


def test_pages_of_events_keep_sessions_whole(browse):
    browser = browse()
    sent = [{"event_type": f"e{index}", "user_id": "u-pages", "time": 1669200000000 + index * 1000} for index in range(10)]
    for index in (3, 4, 5, 6):
        sent[index]["session_id"] = 1669200003000
    track(browser, *sent)
    ((match,), _) = browser.get(SEARCH, user="u-pages").json().values()

    def page(**asked: Any) -> list[str]:
        return [event["event_type"] for event in browser.get(ACTIVITY, user=match["amplitude_id"], **asked).json()["events"]]

    assert page() == [f"e{index}" for index in range(9, -1, -1)]
    assert page(limit=1) == ["e9", "e8"]
    assert page(limit=3) == ["e9", "e8", "e7", "e6", "e5", "e4", "e3"]
    assert page(limit=1, offset=7) == ["e2", "e1"]
    assert page(direction="earliest", limit=1, offset=1) == ["e1", "e2"]
    for wrong in ({"limit": "x"}, {"offset": -1}, {"direction": "up"}):
        assert browser.get(ACTIVITY, user=match["amplitude_id"], **wrong).status_code == 400


def test_people_can_be_asked_for_so_often_an_hour(browse, hand):
    browser = browse(people_queries_per_hour=2)
    assert [browser.get(SEARCH, user="x").status_code for _ in range(2)] == [200, 200]
    assert browser.get(ACTIVITY, user="5").status_code == 429
    hand.time += timedelta(hours=1)
    assert browser.get(ACTIVITY, user="5").status_code == 200


# Segmentation


def segments(browser, event: object, **asked: Any) -> Any:
    answer = browser.get(SEGMENTS, e=json.dumps(event if isinstance(event, dict) else {"event_type": event}), **{**NOV_21, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_events_are_counted_by_day_and_by_people(browse, events):
    browser = browse()
    on_day = [event for event in events if event["event_type"] == "Page Viewed" and event["event_time"].startswith("2022-11-21")]
    people = len({event["amplitude_id"] for event in on_day})
    found = segments(browser, "Page Viewed", m="totals", end="20221122")
    assert (found["xValues"], found["seriesLabels"], found["series"][0][0]) == (["2022-11-21", "2022-11-22"], [0], len(on_day))
    assert segments(browser, "Page Viewed")["series"] == [[people]]
    assert segments(browser, "Page Viewed", m="average")["seriesCollapsed"][0][0]["value"] == len(on_day) / people
    every = len({event["amplitude_id"] for event in events if event["event_time"].startswith("2022-11-21")})
    assert segments(browser, "Page Viewed", m="pct_dau")["series"] == [[100 * people / every]]
    assert segments(browser, "_all")["series"] == [[every]]
    hours = segments(browser, "Page Viewed", m="totals", i="-3600000")
    assert (len(hours["xValues"]), sum(hours["series"][0])) == (24, len(on_day))
    assert segments(browser, "Page Viewed", i="7")["xValues"] == ["2022-11-21"]
    assert segments(browser, "Page Viewed", i="30")["xValues"] == ["2022-11-01"]


def test_events_are_grouped_and_filtered(browse, events):
    browser = browse()
    on_day = [event for event in events if event["event_type"] == "Page Viewed" and event["event_time"].startswith("2022-11-21")]
    by_platform = Counter(event["platform"] or "(none)" for event in on_day)
    found = segments(browser, "Page Viewed", m="totals", g="platform")
    assert dict(zip(found["seriesLabels"], [series[0] for series in found["series"]], strict=True)) == by_platform
    assert segments(browser, "Page Viewed", m="totals", g="platform", limit=1)["seriesLabels"] == [by_platform.most_common(1)[0][0]]
    chosen = {"prop": "platform", "op": "is", "values": ["Web"]}
    assert segments(browser, "Page Viewed", m="totals", s=json.dumps([chosen]))["series"] == [[by_platform["Web"]]]
    city = [event for event in on_day if event["event_properties"]["City"] == "A"]
    filtered = {"subprop_type": "event", "subprop_key": "City", "subprop_op": "is", "subprop_value": ["A"]}
    assert segments(browser, {"event_type": "Page Viewed", "filters": [filtered]}, m="totals")["series"] == [[len(city)]]
    inside = {"event_type": "Page Viewed", "group_by": [{"type": "event", "value": "City"}]}
    assert sorted(segments(browser, inside, m="totals")["seriesLabels"]) == ["A", "B"]


def test_an_event_that_never_happened_is_refused(browse):
    browser = browse()
    refused = browser.get(SEGMENTS, e='{"event_type": "No Such Event"}', **NOV_21)
    assert (refused.status_code, refused.json()["error"]["metadata"]["details"]) == (400, "Invalid event type No Such Event")
    quiet = segments(browser, "Page Viewed", start="20200101", end="20200102")
    assert (quiet["series"], quiet["seriesLabels"]) == ([[0, 0]], [0])
    for wrong in ({"e": "{"}, {"e": "[]"}, {"start": "x"}, {"end": "20221101"}, {"end": "20231121"}, {"m": "x"}, {"i": "2"}):
        assert browser.get(SEGMENTS, **{"e": '{"event_type": "_all"}', **NOV_21, **wrong}).status_code == 400


def test_queries_have_a_budget(browse, hand):
    browser = browse()
    heavy = {"start": "20220901", "end": "20221129", "g": "platform"}  # 90 days and a group: 450
    for _ in range(2):
        segments(browser, "_all", **heavy)
    refused = browser.get(SEGMENTS, e='{"event_type": "_all"}', **heavy)
    assert (refused.status_code, refused.json()["error"]["metadata"]["details"]) == (
        429,
        "Exceeded concurrent limit with query of cost 450",
    )
    hand.time += timedelta(minutes=5)
    segments(browser, "_all", **heavy)


# Cohorts


def upload(browser, ids: list[Any], **more: Any) -> Any:
    body = {"name": "New", "app_id": 123456, "id_type": "BY_USER_ID", "ids": ids, "owner": "ana@example.com", "published": True, **more}
    return browser.session.post(browser.running.url + "/api/3/cohorts/upload", json=body, auth=("key", "secret"), timeout=20)


def change(browser, cohort_id: str, operation: str, *ids: Any, **more: Any) -> Any:
    body = {"cohort_id": cohort_id, "memberships": [{"ids": list(ids), "id_type": "BY_NAME", "operation": operation, **more}]}
    return browser.session.post(browser.running.url + "/api/3/cohorts/membership", json=body, auth=("key", "secret"), timeout=20)


def members(browser, cohort_id: str) -> set[str]:
    answer = browser.get(f"/api/5/cohorts/request/{browser.ready(cohort_id)}/file")
    return {line.split(",")[1].strip('"') for line in answer.text.splitlines()[1:]}


def test_a_cohort_is_uploaded_changed_and_downloaded(browse):
    browser = browse()
    track(browser, {"event_type": "a", "user_id": "u-new-1"}, {"event_type": "a", "user_id": "u-new-2"})
    made = upload(browser, ["u-new-1", "u-1010", "nobody"]).json()
    assert made["metadata"] == {"matched": 2, "totals": 3, "invalid_ids_sample": ["nobody"]}
    cohort_id = made["cohortId"]
    listed = browser.cohorts()["New"]
    assert (listed["id"], listed["appId"], listed["lastComputed"]) == (cohort_id, 123456, 1669204800)
    assert members(browser, cohort_id) == {"u-new-1", "u-1010"}
    added = change(browser, cohort_id, "ADD", "u-new-2", "nobody").json()
    assert added == {
        "cohort_id": cohort_id,
        "memberships_result": [{"skipped_ids": ["nobody"], "id_type": "BY_NAME", "operation": "ADD"}],
    }
    change(browser, cohort_id, "REMOVE", "u-1010")
    assert members(browser, cohort_id) == {"u-new-1", "u-new-2"}
    assert upload(browser, ["u-1010"], existing_cohort_id=cohort_id).json()["cohortId"] == cohort_id
    assert members(browser, cohort_id) == {"u-1010"}
    assert len(browser.cohorts()) == 5


def test_amplitude_ids_and_dry_uploads(browse, events):
    browser = browse()
    amplitude_id = next(event["amplitude_id"] for event in events if event["amplitude_id"])
    dry = upload(browser, [amplitude_id, 5], id_type="BY_AMP_ID", skip_save=True).json()
    assert dry["metadata"] == {"matched": 1, "totals": 2, "invalid_ids_sample": ["5"]}
    assert len(browser.cohorts()) == 4


def test_changes_that_cannot_be_are_refused(browse):
    browser = browse()
    first = browser.cohorts()["Weekly actives"]
    for more in ({"name": 1}, {"id_type": "BY_ID"}, {"ids": "x"}, {"app_id": "1"}, {"ids": ["x"] * 100_001}):
        refused = upload(browser, **{"ids": ["u-1010"], **more})
        assert (refused.status_code, refused.json()["error"]["http_code"]) == (400, 400)
    assert upload(browser, ["u-1010"], existing_cohort_id="nope").status_code == 404
    strict = upload(browser, ["nobody"], skip_invalid_ids=False)
    assert (strict.status_code, strict.json()["error"]["metadata"]) == (400, {"invalid_ids": ["nobody"]})
    assert change(browser, "nope", "ADD", "u-1010").json()["error"]["code"] == 404
    for operation, more in (("DROP", {}), ("ADD", {"id_type": "BY_USER_ID"}), ("ADD", {"ids": None})):
        assert change(browser, first["id"], operation, "u-1010", **more).status_code == 400
    body = {"cohort_id": first["id"], "skip_invalid_ids": False, "memberships": [{"ids": ["no"], "id_type": "BY_NAME", "operation": "ADD"}]}
    answer = browser.session.post(browser.running.url + "/api/3/cohorts/membership", json=body, auth=("key", "secret"), timeout=20)
    assert (answer.status_code, answer.json()["error"]["metadata"]) == (400, {"skipped_ids": ["no"]})
    assert browser.cohorts()["Weekly actives"] == first
    assert browser.session.post(browser.running.url + "/api/3/cohorts/upload", auth=("key", "no"), timeout=20).status_code == 403
    assert browser.session.post(browser.running.url + "/api/3/cohorts/upload", timeout=20).status_code == 401


def test_a_folder_is_searched_too(browse, tmp_path):
    event = {"uuid": "1", "amplitude_id": 5, "user_id": "Müller", "event_type": "A", "server_upload_time": "2021-05-06 07:08:09"}
    event |= {"event_time": "2021-05-06 07:00:00"}
    folder = tmp_path / "export" / "9"
    folder.mkdir(parents=True)
    escaped, broken = json.dumps(event).encode(), b'{"user_id": "M'
    (folder / "9_2021-05-06_7#0.json.gz").write_bytes(gzip.compress(b"\n".join([b"\xef\xbb\xbf" + escaped, escaped, broken, b"[1]"])))
    browser = browse(data=tmp_path)
    assert browser.get(SEARCH, user="Mü").json() == {"matches": [{"user_id": "Müller", "amplitude_id": 5}], "type": "match_user_prefix"}
    assert browser.get(ACTIVITY, user="5").json()["events"] == [event]
    assert segments(browser, "A", m="totals", start="20210506", end="20210506")["series"] == [[1]]


def test_faults_reach_every_route(browse):
    answers = {
        "usersearch": lambda: browser.get(SEARCH, user="u-1010"),
        "useractivity": lambda: browser.get(ACTIVITY, user="5"),
        "segmentation": lambda: browser.get(SEGMENTS, e='{"event_type": "_all"}', **NOV_21),
        "usage": lambda: browser.get("/api/3/cohorts/usage"),
        "cohort_upload": lambda: upload(browser, ["u-1010"], skip_save=True),
        "cohort_membership": lambda: change(browser, "nope", "ADD", "u-1010"),
    }
    browser = browse(*(f"{route}:{name}" for route in answers for name in ("429", "503", "html", "reset")))
    for route, ask in answers.items():
        slow, down, page = ask(), ask(), ask()
        assert (slow.status_code, slow.json()["error"]["http_code"], slow.headers["Retry-After"]) == (429, 429, "1"), route
        assert (down.status_code, page.status_code, page.text[:9]) == (503, 200, "<!DOCTYPE"), route
        with pytest.raises(requests.exceptions.RequestException):
            ask()
        assert ask().json(), route
