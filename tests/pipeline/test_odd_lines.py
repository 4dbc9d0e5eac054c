"""Lines that no sane sender writes: each is set aside or counts, and none stops the load of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etl.lake.layout import Lake
from etl.landing.manifest import Landed
from etl.mapping import load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.profiles.build import build_profiles
from etl.profiles.published import find_profiles
from etl.settings import packaged_mappings
from tests.profiles import lakes


def _event(**more: Any) -> str:
    return json.dumps({"user_id": "u1", "event_type": "a", "event_time": "2024-03-01 00:00:01", **more})


@pytest.mark.parametrize(
    "line",
    [
        '{"user_id": "u1", "event_type": "a", "event_properties": {"a": ' + "[" * 5000 + "]" * 5000 + "}}",
        '{"user_id": "u1", "event_type": "a", "event_properties": {"a": inf, "b": [1]}}',
        '{"user_id": "u1", "event_type": "a", "event_properties": {"a": [1, {"b": 2},]}}',
        _event(event_properties={"cut": "in the middle of \ud83d", "\udc00": 1}),
        _event(event_time="0000-01-01 00:00:00"),
        _event(event_time="9999-12-31T23:59:59-05:00"),
        _event(event_time="0001-01-01T00:00:00+05:00"),
        _event(client_event_time="0000-06-01 00:00:00"),
    ],
    ids=["deep", "inf", "comma", "half a pair", "year 0", "year 10000", "before year 1", "year 0 in a field"],
)
def test_an_odd_line_counts_and_stops_nothing(tmp_path: Path, line: str) -> None:
    lake = Lake(tmp_path / "lake")
    landed: Landed = lakes.land(lake, 0, [])
    (landed.folder / "0.json").write_text(_event() + "\n" + line + "\n", encoding="utf-8")
    report = ingest(Ingest(lake, load_mapping("amplitude_events", [packaged_mappings()]), "job"), [landed])
    assert (report.lines, report.rows) == (2, 2)
    build_profiles(lake)
    (profile,) = find_profiles(lake, "amplitude_user_id", "u1")
    assert profile["amplitude_events"] == {"a": 2}
