"""Mappings of unusual shape through whole runs: lists and maps before anything is loaded, and no `by`."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.sandbox.server import RunningSandbox
from tests.pipeline.projects import profilemill, write_jobs

_HEAD = "stream: amplitude_events\ntime: event_time\n"
_FIELD = "fields:\n  - {field: amplitude_id, from: amplitude_id, kind: string}\n"
_EVERY_SHAPE = """
  - {field: t, from: city, kind: "[]string"}
  - {field: ts, from: city, kind: "ts[]string"}
  - {field: least, from: 'map(city, 1)', kind: "map[string]int", merge: min}
  - {field: most, from: 'map(city, 1)', kind: "map[string]number", merge: max}
  - {field: old, from: 'map(city, city)', kind: "map[string]string", merge: oldest}
"""


def _mapped(folder: Path, url: str, text: str) -> None:
    write_jobs(folder, url)
    (folder / "mappings").mkdir()
    (folder / "mappings/amplitude_events.yaml").write_text(text, encoding="utf-8")


def test_hours_without_events_build_every_shape_of_field(sandbox: RunningSandbox, tmp_path: Path) -> None:
    _mapped(tmp_path, sandbox.url, f"{_HEAD}by: [amplitude_id]\n{_FIELD}{_EVERY_SHAPE}")
    empty = profilemill(tmp_path, "run", "shop-events", "--from", "2001-01-01T00", "--to", "2001-01-01T02")
    assert (empty.returncode, empty.stderr.count("Traceback")) == (0, 0), empty.stderr
    filled = profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-21T15", "--to", "2022-11-21T16", "--max-rejects", "9")
    assert filled.returncode == 0, filled.stderr
    rebuilt = profilemill(tmp_path, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr


@pytest.mark.parametrize("arguments", [("check", "--offline"), ("run", "shop-events", "--from", "2022-11-21T15", "--to", "2022-11-21T16")])
def test_a_job_needs_by(arguments: tuple[str, ...], sandbox: RunningSandbox, tmp_path: Path) -> None:
    _mapped(tmp_path, sandbox.url, _HEAD + _FIELD)
    done = profilemill(tmp_path, *arguments)
    assert done.returncode == 2
    assert "E404 'by' is missing: the fields that identify a person" in done.stdout + done.stderr
    assert "for example by: [amplitude_user_id, amplitude_id]" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_mapping_alone_does_without_by(tmp_path: Path) -> None:
    path = tmp_path / "forward.yaml"
    path.write_text(_HEAD + _FIELD, encoding="utf-8")
    done = profilemill(tmp_path, "map", "forward.yaml", "-", stdin='{"amplitude_id": 7}')
    assert (done.returncode, '"amplitude_id": "7"' in done.stdout) == (0, True), done.stderr
