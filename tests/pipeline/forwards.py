"""Inboxes full of events, jobs that send them on, and a process that does so in quick time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from etl.engines.local import connect, rows
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.lake.tables import files_of, relation
from etl.settings import Clock, utc_now

JOBS = """
lake: ./lake
authorizations:
  shop: {{api_key: key, secret_key: secret, base_url: "{url}"}}
destinations:
  project: {{type: amplitude, authorization: shop}}
  workspace:
    type: mparticle
    base_url: "{url}"
    feeds: {{ios: {{key: key-ios, secret: secret-ios}}, android: {{key: key-android, secret: secret-android}}}}
jobs:
  to-amplitude: {{type: nami, inbox: ./inbox, destination: project}}
  to-mparticle: {{type: nami, inbox: ./inbox, destination: workspace}}
  shop-events: {{type: amplitude_events, authorization: shop, backfill_days: 0}}
"""
# How much faster the clock of `forward_quickly` goes.
SPEED = 200.0


def write_forwarding(folder: Path, url: str) -> Path:
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    path = folder / "jobs.yaml"
    path.write_text(JOBS.format(url=url), encoding="utf-8")
    return path


def webhook(number: int, **members: Any) -> dict[str, Any]:
    """A renewal of one of a thousand people."""
    return {
        "id": f"evt-{number}",
        "event_type": "user.subscription.renewed",
        "event_platform": ("apple", "google")[number % 2],
        "created_date": "2024-03-02T00:12:30.227760+00:00",
        "user_id": f"nami-{number % 1000}",
        "external_ids": [{"key": "external_id", "type": "uuid", "value": f"user-{number % 1000}"}],
        "active_entitlements": [{"entitlement_ref_id": "premium", "sku_ref_id": "sku_a"}],
        "customer_journey_state": {"former_subscriber": False, "in_trial_period": True},
        "devices": [{"id": f"device-{number}", "platform": {"id": "p-1", "platform_type": "apple"}}],
    } | members


def put(folder: Path, name: str, lines: Iterable[Mapping[str, Any] | str]) -> Path:
    path = folder / "inbox" / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def rejects_of(folder: Path) -> list[dict[str, Any]]:
    """The rejects that count: those of attempts in force."""
    lake = Lake(folder / "lake")
    source = relation(lake.rejects, (file.path for file in files_of(lake.rejects)))
    if source is None:
        return []
    attempts = {load.attempt for load in current_loads(lake, forwarded=True).values()}
    connection = connect()
    try:
        found = rows(connection, f"SELECT * FROM {source} ORDER BY load, line")
    finally:
        connection.close()
    return [row for row in found if row["_attempt"] in attempts]


def quick_clock() -> Clock:
    """Time that goes 200 times as fast, waiting included."""
    begun = utc_now()
    return Clock(lambda: begun + (utc_now() - begun) * SPEED, lambda seconds: time.sleep(seconds / SPEED))


def quick_command(jobs: Path, name: str) -> list[str]:
    """A process that runs one forwarding job in quick time."""
    return [sys.executable, "-c", f"from tests.pipeline.forwards import main; main({str(jobs)!r}, {name!r})"]


def main(jobs: str, name: str) -> None:
    from etl.pipeline.forwarding import run_forwarding
    from etl.pipeline.project import open_project

    report = run_forwarding(open_project(Path(jobs), quick_clock()), name)
    print(json.dumps(report.as_dict()))
    sys.exit(1 if report.failed else 0)
