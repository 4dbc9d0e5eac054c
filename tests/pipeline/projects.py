"""Projects against a sandbox, and the command as users call it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

JOBS = """
lake: ./lake
authorizations:
  shop: {{label: Shop, api_key: {key}, secret_key: {secret}, base_url: "{url}"}}
destinations:
  files: {{type: parquet, path: ./out/profiles}}
  db: {{type: sql, url: "sqlite:///out/profiles.db"}}
jobs:
  shop-events: {{type: amplitude_events, authorization: shop, destinations: [files, db]}}
  shop-cohorts: {{type: amplitude_cohorts, authorization: shop, destinations: [files, db]}}
"""
WINDOW = ("--from", "2022-11-21T00", "--to", "2022-11-22T00")


def write_jobs(folder: Path, url: str, *, key: str = "key", secret: str = "secret") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "jobs.yaml"
    path.write_text(JOBS.format(url=url, key=key, secret=secret), encoding="utf-8")
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "etl", *arguments]


def profilemill(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command, run in `folder`; its screens are as wide as needed."""
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, input=stdin, env=environment, timeout=300)


def published(folder: Path) -> dict[str, Any]:
    """What both destinations show, in a form that compares: profiles by id, and the identifiers table."""
    frame = pd.read_parquet(folder / "out/profiles")
    files = {row["profile_id"]: {name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")}
    with sqlite3.connect(folder / "out/profiles.db") as database:
        database.row_factory = sqlite3.Row
        db = {row["profile_id"]: dict(row) for row in database.execute("SELECT * FROM profiles")}
        identifiers = {
            (row["namespace"], row["value"]): row["profile_id"] for row in database.execute("SELECT * FROM profiles_identifiers")
        }
    assert len(frame) == len(files), "a profile stands twice in the Parquet folder"
    return {"files": files, "db": db, "identifiers": identifiers}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return dict(value)
    return None if value is None or value is pd.NaT or value != value else value


def differences(answers: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Where published profiles differ from the sandbox's right answers, value by value."""
    wrong = []
    for right in answers["profiles"]:
        ids = {found["identifiers"].get((name, value)) for name, values in right["identifiers"].items() for value in values}
        profile = found["files"].get(next(iter(ids))) if len(ids) == 1 else None
        if profile is None:
            wrong.append(f"{right['identifiers']} is not one profile: {ids}")
            continue
        for name in ("events", "event_properties", "user_properties", "cohort_ids", "cohort_names"):
            field = f"amplitude_{name}"
            if (profile[field] or {}) != right.get(field, {}):
                wrong.append(f"{right['identifiers']} {field}: {profile[field]} is not {right.get(field)}")
            stored = json.loads(found["db"][profile["profile_id"]][field] or "{}")
            if stored != (profile[field] or {}):
                wrong.append(f"{right['identifiers']} {field}: the database has {stored}")
        wrong += [
            f"{right['identifiers']} {name}: {profile[name]!r} is not {value!r}"
            for name, value in right["fields"].items()
            if _text(profile[name]) != value
        ]
    if len(found["files"]) != len(answers["profiles"]):
        wrong.append(f"{len(found['files'])} profiles, not {len(answers['profiles'])}")
    return wrong


def _text(value: Any) -> str | None:
    return None if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
