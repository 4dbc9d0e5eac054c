"""The export route: hours, archive layout, budgets, authentication."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from etl.sandbox.data import export_members, gzip_bytes

EXPORT = "/api/2/export"
SEED_EVENT = json.loads((Path(__file__).parent / "seed_003_event.json").read_text("utf-8"))


def members(response: requests.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: gzip.decompress(archive.read(name)) for name in archive.namelist()}


def hours(names: dict[str, bytes]) -> set[str]:
    return {re.sub(r"#.*", "", name) for name in names}


def test_missing_credentials_are_401_and_wrong_ones_403(browse):
    browser = browse()
    assert browser.get(EXPORT, auth=None, start="20221121T00", end="20221121T00").status_code == 401
    wrong = browser.get(EXPORT, auth=("key", "wrong"), start="20221121T00", end="20221121T00")
    assert wrong.status_code == 403
    assert wrong.json() == {"error": {"http_code": 403, "type": "unspecified", "metadata": {"details": "Invalid API Key"}}}


def test_a_broken_authorization_header_is_401(browse):
    browser = browse()
    answer = browser.session.get(browser.running.url + EXPORT, headers={"Authorization": "Basic %%%"}, timeout=20)
    assert answer.status_code == 401


def test_both_hours_are_included_and_names_are_not_padded(browse):
    found = members(browse().get(EXPORT, start="20221121T05", end="20221121T06"))
    assert hours(found) == {"123456/123456_2022-11-21_5", "123456/123456_2022-11-21_6"}
    assert all(re.fullmatch(r"123456/123456_2022-11-21_[56]#\d\.json\.gz", name) for name in found)


def test_one_hour_is_start_equal_to_end(browse):
    response = browse().get(EXPORT, start="20221121T15", end="20221121T15")
    assert response.headers["Content-Type"] == "application/zip"
    assert response.content[:4] == b"PK\x03\x04"
    assert hours(members(response)) == {"123456/123456_2022-11-21_15"}


def test_the_whole_window_is_what_the_sample_says(browse, small):
    found = members(browse().get(EXPORT, start="20221121T00", end="20221121T23"))
    wanted = {
        f"123456/123456_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz": gzip.decompress(gzip_bytes(lines))
        for (hour, part), lines in export_members(small)
    }
    assert found == wanted
    assert any(name.endswith("#1.json.gz") for name in found)


def test_a_second_export_gives_the_same_bytes(browse):
    browser = browse()
    first, second = (browser.get(EXPORT, start="20221121T10", end="20221121T12").content for _ in range(2))
    assert first == second


@pytest.mark.parametrize("start,end", [("20221121T04", "20221121T04"), ("20210101T00", "20210102T00")])
def test_hours_without_data_are_404(browse, start, end):
    answer = browse().get(EXPORT, start=start, end=end)
    assert answer.status_code == 404
    assert "Raw data files were not found." in answer.text


def test_an_hour_appears_three_hours_after_its_start(browse, hand):
    browser = browse()
    hand.time = datetime(2022, 11, 21, 17, 59, 59, tzinfo=UTC)
    assert browser.get(EXPORT, start="20221121T15", end="20221121T15").status_code == 404
    assert hours(members(browser.get(EXPORT, start="20221121T14", end="20221121T15"))) == {"123456/123456_2022-11-21_14"}
    hand.time = datetime(2022, 11, 21, 18, 0, 0, tzinfo=UTC)
    assert browser.get(EXPORT, start="20221121T15", end="20221121T15").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"start": "20221121T05"},
        {"start": "2022-11-21T05", "end": "20221121T06"},
        {"start": "20221121T5", "end": "20221121T6"},
        {"start": "20221121T24", "end": "20221122T00"},
        {"start": "20221121T06", "end": "20221121T05"},
        {"start": "20201121T06", "end": "20221121T05"},
    ],
)
def test_a_malformed_window_is_400(browse, query):
    answer = browse().get(EXPORT, **query)
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (400, 400)


def test_above_the_byte_budgets_the_answer_is_400_or_504(browse):
    day = {"start": "20221121T00", "end": "20221121T23"}
    hour = {"start": "20221121T06", "end": "20221121T06"}
    too_large = browse(max_bytes=30_000)
    assert too_large.get(EXPORT, **day).status_code == 400
    assert too_large.get(EXPORT, **hour).status_code == 200
    too_slow = browse(gateway_bytes=30_000)
    assert too_slow.get(EXPORT, **day).status_code == 504
    assert too_slow.get(EXPORT, **hour).status_code == 200


def test_the_published_event_is_exported_field_for_field_in_its_upload_hour(browse):
    found = members(browse().get(EXPORT, start="20221121T15", end="20221121T15"))
    events = [json.loads(line) for content in found.values() for line in content.split(b"\n") if b"22ed3a6e" in line]
    assert events == [SEED_EVENT]
    assert [list(event) for event in events] == [list(SEED_EVENT)]


def test_added_events_become_another_part_of_their_upload_hour(browse):
    browser = browse()
    before = members(browser.get(EXPORT, start="20221121T09", end="20221121T09"))
    event = {"uuid": "late", "amplitude_id": 1, "server_upload_time": "2022-11-21 09:59:59.100000"}
    quiet = {"uuid": "quiet", "amplitude_id": 1, "server_upload_time": "2022-11-21 04:00:00"}
    assert browser.post("/_sandbox/events", [event, quiet]).json() == {"added": 2}
    after = members(browser.get(EXPORT, start="20221121T09", end="20221121T09"))
    assert [json.loads(after.pop(name)) for name in set(after) - set(before)] == [event]
    assert after == before
    assert members(browser.get(EXPORT, start="20221121T04", end="20221121T04")) == {
        "123456/123456_2022-11-21_4#0.json.gz": json.dumps(quiet).encode() + b"\n"
    }
    assert browser.post("/_sandbox/events", {"uuid": "no time"}).status_code == 400


def test_the_log_tells_what_was_asked_and_how_often(browse):
    browser = browse()
    browser.get(EXPORT, start="20221121T09", end="20221121T09")
    browser.get(EXPORT, start="20221121T09", end="20221121T09")
    browser.get("/api/3/cohorts", auth=None)
    log = browser.get("/_sandbox/requests").json()
    assert log["counts"] == {"/api/2/export?start=20221121T09&end=20221121T09": 2, "/api/3/cohorts": 1}
    assert log["routes"] == {"export": 2, "cohorts": 1}
    assert [one["status"] for one in log["requests"]] == [200, 200, 401]
    assert "secret" not in json.dumps(log)
