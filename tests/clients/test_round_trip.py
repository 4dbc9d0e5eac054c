"""The client against the sandbox: what is sent comes back from the export, with the limits and errors of both kept."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl import errors
from etl.clients.amplitude import BATCH, AmplitudeClient, Endpoint
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
