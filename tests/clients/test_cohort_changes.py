"""Cohort upload and membership, against a stand-in that shares no code with the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from etl import errors
from etl.clients.amplitude import AmplitudeClient, CohortUpload, MembershipChange
from tests.clients.service import BASIC, Reply, Service, as_json

UPLOAD, MEMBERSHIP = "/api/3/cohorts/upload", "/api/3/cohorts/membership"
MADE = as_json(cohortId="c1", metadata={"matched": 2, "totals": 3, "invalid_ids_sample": ["x"]})
CHANGED = as_json(cohort_id="c1", memberships_result=[{"skipped_ids": [], "id_type": "BY_NAME", "operation": "ADD"}])


def upload(client: AmplitudeClient, ids: Any = ("a", "b", "x"), **more: Any) -> CohortUpload:
    return client.upload_cohort("Buyers", ids, app_id=123456, owner="ana@example.com", **more)


def test_a_cohort_is_made_with_basic_authentication(client: AmplitudeClient, service: Service) -> None:
    service.on(UPLOAD, MADE)
    assert upload(client, ["a", "b", "x", "a"]) == CohortUpload("c1", 2, 3, ("x",))
    (seen,) = service.seen
    assert seen.headers["authorization"] == BASIC
    assert seen.json() == {
        "name": "Buyers", "app_id": 123456, "id_type": "BY_USER_ID", "ids": ["a", "b", "x"], "owner": "ana@example.com",
        "published": True, "skip_invalid_ids": True,
    }  # fmt: skip


def test_a_cohort_is_replaced_and_made_of_amplitude_ids_and_groups(client: AmplitudeClient, service: Service) -> None:
    service.on(UPLOAD, as_json(cohort_id="c1"))
    found = upload(client, [7, "8"], by="amplitude_id", existing_cohort_id="c1", group="org", published=False, skip_invalid_ids=False)
    assert found == CohortUpload("c1", 2, 2)
    sent = service.seen[0].json()
    assert (sent["ids"], sent["id_type"], sent["existing_cohort_id"], sent["cg"]) == (["7", "8"], "BY_AMP_ID", "c1", "org")
    assert (sent["published"], sent["skip_invalid_ids"]) == (False, False)


def test_more_ids_than_a_request_holds_are_added(client: AmplitudeClient, service: Service) -> None:
    service.on(UPLOAD, as_json(cohortId="c1", metadata={"matched": 100_000}))
    service.on(MEMBERSHIP, as_json(cohort_id="c1", memberships_result=[{"skipped_ids": [250_000], "operation": "ADD"}]), CHANGED)
    assert upload(client, range(250_001), by="amplitude_id") == CohortUpload("c1", 250_000, 250_001, ("250000",))
    sent = [seen.json()["memberships"] for seen in service.seen if seen.path == MEMBERSHIP]
    assert [(one["operation"], one["id_type"], len(one["ids"])) for (one,) in sent] == [("ADD", "BY_ID", 100_000), ("ADD", "BY_ID", 50_001)]


def test_members_are_added_and_removed(client: AmplitudeClient, service: Service) -> None:
    skipped = as_json(cohort_id="c1", memberships_result=[{"skipped_ids": ["z"], "id_type": "BY_NAME", "operation": "REMOVE"}])
    service.on(MEMBERSHIP, CHANGED, skipped)
    assert client.change_cohort_members("c1", add=["a", "b"], remove=["z"]) == MembershipChange("c1", 2, 1, ("z",))
    assert [seen.json() for seen in service.seen] == [
        {
            "cohort_id": "c1",
            "memberships": [{"ids": ids, "id_type": "BY_NAME", "operation": operation}],
            "count_group": "User",
            "skip_invalid_ids": True,
        }
        for operation, ids in (("ADD", ["a", "b"]), ("REMOVE", ["z"]))
    ]


def test_a_refused_change_names_the_cohort(client: AmplitudeClient, service: Service) -> None:
    refused = as_json(400, error={"message": "Some ids are invalid", "code": 400, "metadata": {"skipped_ids": ["z"]}})
    service.on(MEMBERSHIP, refused)
    with pytest.raises(errors.BadRequest) as caught:
        client.change_cohort_members("c1", add=["z"], skip_invalid_ids=False)
    assert str(caught.value).startswith("Amplitude refused the ids or the cohort (cohort c1, operation ADD, status 400")
    assert (caught.value.value, "skipped_ids" in str(caught.value.body)) == ("Some ids are invalid: z", True)
    service.on(UPLOAD, as_json(404, error={"http_code": 404, "message": "Cohort not found", "metadata": {}}))
    with pytest.raises(errors.NotFound):
        upload(client, existing_cohort_id="c9")


@pytest.mark.parametrize("trouble", [Reply(503), as_json(429, error="slow")])
def test_a_new_cohort_is_asked_for_again_where_none_was_made(client: AmplitudeClient, service: Service, trouble: Reply) -> None:
    service.on(UPLOAD, trouble, MADE)
    assert upload(client).cohort_id == "c1"


@pytest.mark.parametrize("trouble", [Reply(500), Reply(504), Reply(then="reset-at-once"), Reply(200, b"<html>")])
def test_a_new_cohort_is_not_asked_for_twice_in_doubt(client: AmplitudeClient, service: Service, trouble: Reply) -> None:
    service.on(UPLOAD, trouble, MADE)
    with pytest.raises(errors.TransientError):
        upload(client)
    assert service.count(UPLOAD) == 1
    service.on(UPLOAD, trouble, MADE)
    assert upload(client, existing_cohort_id="c1").cohort_id == "c1"
    service.on(MEMBERSHIP, trouble, CHANGED)
    assert client.change_cohort_members("c1", add=["a"]).added == 1


@pytest.mark.parametrize(
    "given",
    [{"ids": []}, {"ids": ["a", " "]}, {"ids": ["a"], "by": "amplitude_id"}, {"ids": ["1"], "by": "email"}],
)
def test_what_cannot_be_a_cohort_is_not_sent(client: AmplitudeClient, service: Service, given: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError):
        upload(client, **given)
    for change in ({}, {"add": [""]}, {"remove": ["x"], "by": "amplitude_id"}):
        with pytest.raises(errors.ConfigurationError):
            client.change_cohort_members("c1", **change)
    assert service.seen == []


def test_ids_that_a_strict_change_is_refused_for_are_named(client: AmplitudeClient, service: Service) -> None:
    refused = {"error": {"message": "Invalid ids", "code": 400, "metadata": {"skipped_ids": [f"x{n}" for n in range(7)]}}}
    service.on("/api/3/cohorts/membership", as_json(400, **refused))
    with pytest.raises(errors.BadRequest, match="Invalid ids: x0, x1, x2, x3, x4 and 2 more"):
        client.change_cohort_members("c-1", add=["x0"], skip_invalid_ids=False)
