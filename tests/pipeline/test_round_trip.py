"""What is sent to Amplitude comes back: tracked, exported, imported, and in the profiles of who it was about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from etl.clients.amplitude import BATCH, AmplitudeClient
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import running_sandbox
from etl.settings import Clock
from tests.pipeline.projects import profilemill, published, write_jobs

NOW = datetime(2024, 3, 2, 12, 30, tzinfo=UTC)


def test_tracked_events_are_imported_once_and_make_profiles(tmp_path: Path) -> None:
    options = SandboxOptions(sample=SampleSpec(events=0, people=5), clock=Clock(now=lambda: NOW), export_delay=timedelta(0))
    with running_sandbox(options) as sandbox, AmplitudeClient("key", "secret", base_url=sandbox.url) as client:
        write_jobs(tmp_path, sandbox.url)
        client.identify({"user_id": "u-trip-1", "user_properties": {"$set": {"plan": "pro"}}})
        events = [
            {"event_type": name, "user_id": f"u-trip-{index % 2}", "time": 1709380800000 + index, "insert_id": f"i{index}"}
            for index, name in enumerate(["Order Completed", "Left", "Order Completed", "Order Completed"])
        ]
        client.track(events)
        client.track([*events, {"event_type": "Left", "user_id": "u-trip-1", "platform": "iOS"}], endpoint=BATCH)
        done = profilemill(tmp_path, "run", "shop-events", "--from", "2024-03-02T12", "--to", "2024-03-02T13", "--json")
        assert done.returncode == 0, done.stderr
        right = requests.get(f"{sandbox.url}/_sandbox/answers?streams=events", timeout=20).json()
    found = {row["amplitude_user_id"]: row for row in published(tmp_path)["files"].values()}
    assert {name: dict(row["amplitude_events"]) for name, row in found.items()} == {
        "u-trip-0": {"Order Completed": 2},
        "u-trip-1": {"Left": 2, "Order Completed": 1},
    }
    assert (right["events"], len(right["profiles"]), found["u-trip-1"]["amplitude_platform"]) == (5, 2, "iOS")
    assert dict(found["u-trip-1"]["amplitude_user_properties"]) == {"plan": "pro"}
