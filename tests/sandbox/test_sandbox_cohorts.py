"""The cohort routes: list, request, poll, file, redirect, limits, changes."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import requests

from etl.sandbox.data import cohorts

FIELDS = {
    "id", "name", "description", "appId", "size", "type", "lastComputed", "lastMod", "createdAt", "archived",
    "published", "hidden", "finished", "owners", "viewers", "definition", "is_predictive", "is_official_content",
    "metadata", "view_count", "popularity", "last_viewed", "chart_id", "edit_id", "location_id", "shortcut_ids",
}  # fmt: skip


def rows(response: requests.Response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.content.decode(), newline="")))


def test_the_list_has_every_field_and_stays_the_same(browse):
    browser = browse()
    first, second = (browser.get("/api/3/cohorts").json() for _ in range(2))
    assert first == second
    assert len(first["cohorts"]) == 4
    assert all(set(one) == FIELDS for one in first["cohorts"])
    with_sync = browser.get("/api/3/cohorts", includeSyncInfo="true").json()["cohorts"]
    assert all(set(one) == FIELDS | {"syncMetadata"} for one in with_sync)


def test_request_poll_and_download_of_a_small_cohort(browse, small):
    browser = browse(polls_before_ready=2)
    cohort = next(one for one in cohorts(small) if one.entry["name"] == "Weekly actives")
    asked = browser.get(f"/api/5/cohorts/request/{cohort.entry['id']}", props="1")
    assert asked.status_code == 202
    assert asked.json()["cohort_id"] == cohort.entry["id"]
    status = f"/api/5/cohorts/request-status/{asked.json()['request_id']}"
    file = f"/api/5/cohorts/request/{asked.json()['request_id']}/file"
    assert browser.get(file).status_code == 404
    looks = [browser.get(status) for _ in range(3)]
    assert [one.status_code for one in looks] == [202, 202, 200]
    assert [one.json()["async_status"] for one in looks] == ["JOB INPROGRESS", "JOB INPROGRESS", "JOB COMPLETED"]
    answer = browser.get(file)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.content.startswith(b'"amplitude_id","user_id","version",')
    assert rows(answer) == [list(cohort.header), *(list(row) for row in cohort.rows)]
    assert cohort.entry["size"] == len(cohort.rows)


def test_properties_come_only_when_asked_for(browse):
    browser = browse()
    cohort_id = browser.cohorts()["Weekly actives"]["id"]
    plain = browser.ready(cohort_id)
    some = browser.ready(cohort_id, props="1", propKeys=["city", "nothing", "os"])
    assert rows(browser.get(f"/api/5/cohorts/request/{plain}/file"))[0] == ["amplitude_id", "user_id"]
    assert rows(browser.get(f"/api/5/cohorts/request/{some}/file"))[0] == ["amplitude_id", "user_id", "city", "os"]


def test_a_large_cohort_is_redirected_to_a_host_that_refuses_authorization(browse, hand, small):
    browser = browse()
    everybody = browser.cohorts()["Everybody"]
    request_id = browser.ready(everybody["id"], props="1")
    redirect = browser.get(f"/api/5/cohorts/request/{request_id}/file")
    assert redirect.status_code == 302
    link = redirect.headers["Location"]
    assert link.startswith(f"http://localhost:{browser.running.port}/s3/")
    refused = browser.get(link)
    assert refused.status_code == 400
    assert "Only one auth mechanism allowed" in refused.text
    assert len(rows(browser.get(link, auth=None))) == everybody["size"] + 1
    hand.sleep(60)
    assert browser.get(link, auth=None).status_code == 200
    hand.sleep(1)
    late = browser.get(link, auth=None)
    assert (late.status_code, "Request has expired" in late.text) == (403, True)
    again = browser.get(f"/api/5/cohorts/request/{request_id}/file").headers["Location"]
    assert browser.get(again, auth=None).status_code == 200
    assert browser.get(again + "0", auth=None).status_code == 403


def test_requests_follows_the_redirect_without_credentials(browse):
    browser = browse(inline_members=0)
    request_id = browser.ready(browser.cohorts()["Weekly actives"]["id"])
    url = f"{browser.running.url}/api/5/cohorts/request/{request_id}/file"
    answer = browser.session.get(url, auth=("key", "secret"), timeout=20)
    assert (answer.status_code, len(answer.history)) == (200, 1)


def test_a_request_keeps_the_snapshot_it_was_made_for(browse):
    browser = browse()
    cohort = browser.cohorts()["Weekly actives"]
    request_id = browser.ready(cohort["id"])
    browser.post(f"/_sandbox/cohorts/{cohort['id']}", {"members": []})
    assert len(rows(browser.get(f"/api/5/cohorts/request/{request_id}/file"))) == cohort["size"] + 1


def test_unknown_cohorts_and_requests_are_404(browse):
    browser = browse()
    assert browser.get("/api/5/cohorts/request/nobody").status_code == 404
    assert browser.get("/api/5/cohorts/request-status/nothing").status_code == 404
    assert browser.get("/api/5/cohorts/request/nothing/file").status_code == 404
    assert browser.get("/api/3/cohorts/usage").json()["rest_download"]["usage"] == 0


def test_the_61st_request_in_ten_minutes_is_429(browse, hand):
    browser = browse()
    path = f"/api/5/cohorts/request/{browser.cohorts()['Everybody']['id']}"
    codes = [browser.get(path).status_code for _ in range(61)]
    assert codes == [202] * 60 + [429]
    refused = browser.get(path)
    assert refused.headers["Retry-After"] == "1"
    assert "10 minutes" in refused.json()["error"]["metadata"]["details"]
    hand.sleep(600)
    assert browser.get(path).status_code == 202


def test_the_monthly_quota_ends_and_starts_again_next_month(browse, hand):
    browser = browse(monthly_quota=2)
    path = f"/api/5/cohorts/request/{browser.cohorts()['Everybody']['id']}"
    assert [browser.get(path).status_code for _ in range(3)] == [202, 202, 429]
    assert "quota" in browser.get(path).text
    assert browser.get("/api/3/cohorts/usage").json() == {
        "rest_download": {"limit": 2, "usage": 2, "resets_at": "2022-12-01T00:00:00+00:00"}
    }
    hand.time = datetime(2022, 12, 1, tzinfo=UTC)
    assert browser.get(path).status_code == 202


def test_a_cohort_can_be_changed_made_and_deleted(browse):
    browser = browse()
    before = browser.cohorts()["Weekly actives"]
    members = [{"amplitude_id": "1", "user_id": "a"}, {"amplitude_id": "2", "user_id": None, "city": "Oslo"}]
    changed = browser.post(f"/_sandbox/cohorts/{before['id']}", {"members": members, "name": "Renamed"}).json()
    assert changed == before | {"name": "Renamed", "size": 2, "lastComputed": before["lastComputed"] + 3600}
    assert browser.cohorts()["Renamed"] == changed
    request_id = browser.ready(before["id"])
    assert rows(browser.get(f"/api/5/cohorts/request/{request_id}/file"))[1:] == [["1", "a"], ["2", ""]]
    told = browser.post(f"/_sandbox/cohorts/{before['id']}", {"size": 9, "lastComputed": 5}).json()
    assert (told["size"], told["lastComputed"]) == (9, 5)
    made = browser.post("/_sandbox/cohorts/new1", {"name": "New", "members": members[:1]}).json()
    assert (made["id"], made["size"], set(made)) == ("new1", 1, FIELDS)
    assert browser.post("/_sandbox/cohorts/new1", {"delete": True}).json() == {"deleted": True}
    assert "New" not in browser.cohorts()
    assert browser.post("/_sandbox/cohorts/new1", {"members": ["1"]}).status_code == 400
    assert browser.post("/_sandbox/cohorts/new1", ["1"]).status_code == 400


def test_a_repeated_header_and_a_group_cohort_on_demand(browse, small):
    ids = {one.entry["name"]: one.entry["id"] for one in cohorts(small)}
    browser = browse(repeated_header=(ids["Weekly actives"],), group_cohorts=(ids["Buyers, 30 days"],), inline_members=1000)
    repeated = browser.ready(ids["Weekly actives"], props="1")
    table = rows(browser.get(f"/api/5/cohorts/request/{repeated}/file"))
    assert table[0][:4] == ["amplitude_id", "user_id", "amplitude_id", "version"]
    assert all(row[0] and not row[2] for row in table[1:])
    group = browser.ready(ids["Buyers, 30 days"])
    table = rows(browser.get(f"/api/5/cohorts/request/{group}/file"))
    assert table[0] == ["amplitude_id", "\tgroup_value"]
    assert all(row[1].startswith("\t") for row in table[1:])
