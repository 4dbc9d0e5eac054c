"""The client against the sandbox: what is sent comes back from the export, with the limits and errors of both kept."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from etl import errors
from etl.clients.amplitude import BATCH, AmplitudeClient, Endpoint, SegmentationQuery, requests_of
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from tests.clients.service import FakeTime, steady

HOUR = datetime(2024, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def sandbox(time: FakeTime) -> Iterator[RunningSandbox]:
    options = SandboxOptions(sample=SampleSpec(events=300, people=30), clock=time.clock, export_delay=timedelta(0))
    with running_sandbox(options) as running:
        yield running


@pytest.fixture
def client(sandbox: RunningSandbox, time: FakeTime) -> Iterator[AmplitudeClient]:
    with AmplitudeClient("key", "secret", base_url=sandbox.url, clock=time.clock, retry=steady()) as client:
        yield client


def exported(client: AmplitudeClient, folder: Path) -> list[dict[str, object]]:
    path = folder / "events.zip"
    client.export(HOUR, HOUR, path)
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for name in archive.namelist() for line in gzip.decompress(archive.read(name)).splitlines()]


def test_what_is_tracked_and_identified_is_exported(client: AmplitudeClient, tmp_path: Path) -> None:
    events = [
        {"event_type": "Order Completed", "userId": "u-1042", "time": 1709338350000 + index, "eventProperties": {"n": index, "é": [None]}}
        for index in range(50)
    ]
    client.identify({"user_id": "u-1042", "user_properties": {"$append": {"tags": "a"}, "$set": {"plan": "pro"}}})
    client.group_identify("workspace", "7", {"plan": "team"})
    assert client.track(events).events == 50
    client.track({"event_type": "Left", "user_id": "u-1042", "groups": {"workspace": "7"}}, endpoint=BATCH)
    rows = exported(client, tmp_path)
    assert [(row["event_type"], row["event_properties"]) for row in rows[:-1]] == [(e["event_type"], e["eventProperties"]) for e in events]
    assert rows[-1]["user_properties"] == {"tags": ["a"], "plan": "pro"}
    assert rows[-1]["group_properties"] == {"workspace": {"7": {"plan": "team"}}}
    assert len({row["uuid"] for row in rows}) == 51


@pytest.mark.parametrize("fault", ["httpapi:stored", "httpapi:reset", "httpapi:503:2", "httpapi:429", "httpapi:html", "httpapi:throttled"])
def test_every_event_is_there_once_whatever_happens(
    client: AmplitudeClient, sandbox: RunningSandbox, tmp_path: Path, time: FakeTime, fault: str
) -> None:
    sandbox.state.faults.add(parse_faults([fault]))
    client.track([{"event_type": "a", "user_id": "u-1042", "event_properties": {"n": index}} for index in range(3)])
    assert len(time.slept) == (2 if fault.endswith(":2") else 1)
    if fault == "httpapi:throttled":
        assert time.moment == HOUR + timedelta(seconds=30)
    assert [row["event_properties"] for row in exported(client, tmp_path)] == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize(("path", "named"), [("/2/httpapi", [1]), ("/batch", [1, 3])])
def test_bad_events_are_named_by_both_endpoints_in_their_way(client: AmplitudeClient, path: str, named: list[int]) -> None:
    good, bad = {"event_type": "a", "user_id": "u-1042"}, {"event_type": "a", "user_id": "u-1042", "time": "today"}
    with pytest.raises(errors.InvalidEvents) as caught:
        client.upload([good, bad, good, bad], endpoint=Endpoint(path, 10, 1000, 1.0))
    assert caught.value.reasons == dict.fromkeys(named, "time is not valid")


def test_a_wrong_key_and_short_ids(client: AmplitudeClient, sandbox: RunningSandbox) -> None:
    short = {"event_type": "a", "user_id": "bob"}
    with pytest.raises(errors.InvalidEvents) as caught:
        client.track(short)
    assert caught.value.reasons == {0: "user_id is too short"}
    assert client.track(short, min_id_length=3).events == 1
    with AmplitudeClient("other-key", None, base_url=sandbox.url) as wrong:
        with pytest.raises(errors.CredentialsError):
            wrong.track(short, min_id_length=3)
        with pytest.raises(errors.CredentialsError):
            wrong.identify({"user_id": "bob", "user_properties": {"a": 1}})


def test_people_and_what_they_did_are_found(client: AmplitudeClient) -> None:
    events = [{"event_type": "Order Completed", "user_id": "u-many", "time": 1709338350000 + index} for index in range(2500)]
    for part in requests_of(events, BATCH):
        client.track(part, endpoint=BATCH)
    ((match,), kind) = (client.user_search("u-many").matches, client.user_search("u-ma").type)
    assert (match.user_id, kind) == ("u-many", "match_user_prefix")
    assert client.user_search("nobody-here").type == "nomatch"
    some, every = client.user_activity(match.amplitude_id, most=2400), client.user_activity(match.amplitude_id, most=2500)
    assert (len(some.events), some.truncated, len(every.events), every.truncated) == (2400, True, 2500, False)
    assert len({event["uuid"] for event in every.events}) == 2500
    assert client.user_activity(5).found is False
    day = HOUR.date()
    counted = client.event_segmentation(SegmentationQuery("Order Completed", day, day, metric="totals"))
    assert list(counted.rows()) == [(0, "2024-03-02", 2500)]
    with pytest.raises(errors.BadRequest, match="Invalid event type Nothing"):
        client.event_segmentation(SegmentationQuery("Nothing", day, day))


def test_the_budget_of_queries_is_kept_by_waiting(client: AmplitudeClient, time: FakeTime) -> None:
    year = SegmentationQuery("_all", date(2023, 4, 1), HOUR.date())
    for _ in range(3):
        assert client.event_segmentation(year).cost == 337
    assert time.slept == [75.0] * 4


def test_a_cohort_is_made_changed_and_downloaded(client: AmplitudeClient, tmp_path: Path) -> None:
    client.track([{"event_type": "a", "user_id": name} for name in ("u-new-1", "u-new-2", "u-new-3")])
    made = client.upload_cohort("New", ["u-new-1", "u-new-2", "nobody"], app_id=123456, owner="ana@example.com")
    assert (made.matched, made.given, made.invalid_ids_sample) == (2, 3, ("nobody",))
    change = client.change_cohort_members(made.cohort_id, add=["u-new-3", "no"], remove=["u-new-1"])
    assert change.skipped == ("no",)
    (cohort,) = [one for one in client.list_cohorts() if one.id == made.cohort_id]
    assert (cohort.name, cohort.size) == ("New", 2)
    request_id = client.request_cohort(made.cohort_id, props=False)
    client.wait_for_cohort(request_id)
    file = client.download_cohort(request_id, tmp_path / "members.csv")
    assert [line.split(",")[1] for line in file.path.read_text().splitlines()[1:]] == ['"u-new-2"', '"u-new-3"']
    usage = client.cohort_usage()
    assert usage is not None
    assert (usage.used, usage.limit) == (1, 500)


def test_an_export_is_a_stream_too(client: AmplitudeClient, sandbox: RunningSandbox, tmp_path: Path) -> None:
    client.track({"event_type": "a", "user_id": "u-1042"})
    whole = client.export(HOUR, HOUR, tmp_path / "events.zip").path.read_bytes()
    sandbox.state.faults.add(parse_faults(["export:503", "export:html"]))
    with client.export_stream(HOUR, HOUR) as chunks:
        assert b"".join(chunks) == whole
    sandbox.state.faults.add(parse_faults(["export:reset"]))
    with pytest.raises(errors.TransientError), client.export_stream(HOUR, HOUR) as chunks:
        list(chunks)
    with pytest.raises(errors.NoData), client.export_stream(HOUR - timedelta(hours=1), HOUR - timedelta(hours=1)):
        pass
