"""Every fault over real HTTP, and the text that plans it."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

import pytest
import requests

from etl.errors import ConfigurationError
from etl.sandbox.faults import KINDS, Fault, describe_faults, parse_faults

HOUR = {"start": "20221121T09", "end": "20221121T09"}


def export(browser) -> requests.Response:
    return browser.get("/api/2/export", **HOUR)


def test_the_text_of_a_fault():
    assert parse_faults(["export:429", "export:503:2", "*:401:*", " s3:expired "]) == (
        Fault("export", "429", 1),
        Fault("export", "503", 2),
        Fault("*", "401", None),
        Fault("s3", "expired", 1),
    )


@pytest.mark.parametrize(
    "text,message",
    [
        (
            "exprt:429",
            (
                "unknown route (fault exprt:429): exprt\n  Next: Did you mean export? "
                "There are: *, export, cohorts, cohort_request, cohort_status, cohort_file, s3, usage, httpapi, batch, identify, "
                "groupidentify, usersearch, useractivity, segmentation, cohort_upload, cohort_membership, mparticle."
            ),
        ),
        (
            "cohorts:truncatd",
            (
                "unknown fault of route cohorts (fault cohorts:truncatd): truncatd\n  Next: There are: "
                "400, 401, 403, 404, 410, 429, 500, 502, 503, 504, html, slow, reset."
            ),
        ),
        (
            "export:429:0",
            (
                "the number of times of a fault is not a whole number from 1, nor *, nor a percentage (fault export:429:0): 0\n"
                "  Next: Write export:429:2 or export:429:*."
            ),
        ),
    ],
)
def test_a_wrong_fault_names_the_right_ones_and_the_nearest(text, message):
    with pytest.raises(ConfigurationError) as caught:
        parse_faults([text])
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "export", "export:", "*:truncated", "export:quota", "s3:stuck", "export:429:x"])
def test_a_fault_that_does_not_exist_is_refused(text):
    with pytest.raises(ConfigurationError):
        parse_faults([text])


def test_every_described_fault_can_be_planned():
    described = describe_faults()
    assert parse_faults([text for text, _ in described])
    assert {text.split(":")[1] for text, _ in described} == set(KINDS)
    assert all(doc for _, doc in described)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_an_error_object_and_then_the_right_answer(browse, status):
    browser = browse(f"export:{status}:2")
    broken = export(browser)
    assert (broken.status_code, broken.json()["error"]["http_code"]) == (status, status)
    assert broken.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert export(browser).status_code == status
    assert export(browser).status_code == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_gateway_page_and_then_the_right_answer(browse, status):
    browser = browse(f"export:{status}")
    broken = export(browser)
    assert (broken.status_code, broken.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert export(browser).status_code == 200


def test_a_200_that_is_a_page(browse):
    browser = browse("export:html")
    broken = export(browser)
    assert (broken.status_code, broken.content[:9]) == (200, b"<!DOCTYPE")
    assert export(browser).content[:4] == b"PK\x03\x04"


def test_a_truncated_zip_is_a_complete_response(browse):
    browser = browse("export:truncated")
    broken = export(browser)
    assert (broken.status_code, broken.content[:4]) == (200, b"PK\x03\x04")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(broken.content))


def test_a_truncated_member_sits_in_a_sound_zip(browse):
    browser = browse("export:truncated_member")
    with zipfile.ZipFile(io.BytesIO(export(browser).content)) as archive:
        assert archive.testzip() is None
        with pytest.raises((EOFError, zlib.error)):
            gzip.decompress(archive.read(archive.namelist()[0]))


@pytest.mark.parametrize("path", ["/api/2/export", "/api/3/cohorts"])
def test_a_reset_breaks_the_body_off(browse, path):
    browser = browse("*:reset")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        browser.get(path, **HOUR)
    assert browser.get(path, **HOUR).status_code == 200


def test_a_slow_answer_is_the_right_one(browse, hand):
    browser = browse("export:slow", slow_seconds=90.0)
    assert export(browser).status_code == 200
    assert hand.slept == [90.0]


def test_a_star_meets_any_route_for_ever(browse):
    browser = browse("*:503:*")
    assert [browser.get(path).status_code for path in ("/api/3/cohorts", "/api/2/export", "/api/3/cohorts")] == [503] * 3


def test_missing_credentials_use_up_no_fault(browse):
    browser = browse("cohorts:503")
    assert browser.get("/api/3/cohorts", auth=None).status_code == 401
    assert browser.get("/api/3/cohorts").status_code == 503


def test_quota_is_told_without_being_used(browse):
    browser = browse("cohort_request:quota")
    path = f"/api/5/cohorts/request/{browser.cohorts()['Everybody']['id']}"
    refused = browser.get(path)
    assert refused.status_code == 429
    assert "quota exceeded: 500 of 500" in refused.json()["error"]["metadata"]["details"]
    assert browser.get("/api/3/cohorts/usage").json()["rest_download"]["usage"] == 0
    assert browser.get(path).status_code == 202


def test_a_throttled_poll_loses_nothing(browse):
    browser = browse("cohort_status:429", polls_before_ready=0)
    request_id = browser.requested(browser.cohorts()["Everybody"]["id"])
    path = f"/api/5/cohorts/request-status/{request_id}"
    assert [browser.get(path).status_code for _ in range(2)] == [429, 200]


def test_a_stuck_request_stays_so_and_the_next_does_not(browse):
    browser = browse("cohort_status:stuck")
    cohort_id = browser.cohorts()["Everybody"]["id"]
    path = f"/api/5/cohorts/request-status/{browser.requested(cohort_id)}"
    assert {browser.get(path).status_code for _ in range(5)} == {202}
    assert browser.ready(cohort_id)


def test_a_failed_request_stays_so(browse):
    browser = browse("cohort_status:failed")
    path = f"/api/5/cohorts/request-status/{browser.requested(browser.cohorts()['Everybody']['id'])}"
    for _ in range(3):
        answer = browser.get(path)
        assert (answer.status_code, answer.json()["async_status"]) == (200, "JOB FAILED")


def test_an_expired_request_is_gone_for_good(browse):
    browser = browse("cohort_file:expired")
    request_id = browser.ready(browser.cohorts()["Weekly actives"]["id"])
    file = f"/api/5/cohorts/request/{request_id}/file"
    assert [browser.get(file).status_code for _ in range(2)] == [410, 410]
    assert browser.get(f"/api/5/cohorts/request-status/{request_id}").status_code == 410


def test_an_expired_link_is_403_and_a_new_one_works(browse):
    browser = browse("s3:expired")
    file = f"/api/5/cohorts/request/{browser.ready(browser.cohorts()['Everybody']['id'])}/file"
    first = browser.get(browser.get(file).headers["Location"], auth=None)
    assert (first.status_code, first.headers["Content-Type"]) == (403, "application/xml")
    assert browser.get(browser.get(file).headers["Location"], auth=None).status_code == 200


@pytest.mark.parametrize("route,name", [("cohort_file", "Weekly actives"), ("s3", "Everybody")])
def test_an_empty_or_short_file_contradicts_the_listed_size(browse, route, name):
    browser = browse(f"{route}:empty", f"{route}:short")
    cohort = browser.cohorts()[name]
    file = f"/api/5/cohorts/request/{browser.ready(cohort['id'])}/file"
    lines = []
    for _ in range(3):
        answer = browser.get(file)
        if answer.status_code == 302:
            answer = browser.get(answer.headers["Location"], auth=None)
        lines.append(answer.content.count(b"\r\n") - 1)
    assert lines == [0, cohort["size"] // 2, cohort["size"]]


def test_faults_can_be_added_while_it_runs(browse):
    browser = browse()
    assert browser.post("/_sandbox/faults", {"faults": ["cohorts:503"]}).json() == {"added": 1}
    assert browser.post("/_sandbox/faults", "cohorts:502").json() == {"added": 1}
    assert [browser.get("/api/3/cohorts").status_code for _ in range(3)] == [503, 502, 200]
    wrong = browser.post("/_sandbox/faults", ["cohorts:5o2"])
    assert wrong.status_code == 400
    assert "Did you mean 502?" in wrong.json()["error"]
