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


def _findings(folder: Path) -> str:
    return profilemill(folder, "check", "--offline").stdout


def test_check_says_which_files_count_and_what_landed_says(sandbox: RunningSandbox, tmp_path: Path) -> None:
    _mapped(tmp_path, sandbox.url, f"{_HEAD}key: uid\nby: [amplitude_id]\n{_FIELD}")
    (tmp_path / "mappings/amplitude_event.yaml").write_text("stream: x\n", encoding="utf-8")
    before = _findings(tmp_path)
    assert "ok    mapping amplitude_events of shop-events  (1 fields, mappings/amplitude_events.yaml)" in before
    assert "ok    mapping amplitude_cohorts of shop-cohorts  (19 fields, shipped)" in before, "warnings of shipped mappings are not shown"
    assert "mapping file mappings/amplitude_event.yaml  (no job uses it, and it has faults; did you mean 'amplitude_events'?)" in before
    assert "amplitude_event.yaml:1:1: E404 'fields' is missing" in before
    done = profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-21T15", "--to", "2022-11-21T16", "--max-rejects", "9")
    assert done.returncode == 0, done.stderr
    after = _findings(tmp_path)
    assert "amplitude_events.yaml:3:6: W511 none of the newest" in after
    assert "landed records has 'uid', which 'key' reads" in after
    assert "did you mean 'uuid'?" in after

    changed = f"{_HEAD}key: uid\nby: [amplitude_id]\n{_FIELD.replace('kind: string', 'kind: int')}"
    (tmp_path / "mappings/amplitude_events.yaml").write_text(changed, encoding="utf-8")
    stopped = profilemill(tmp_path, "check", "--offline")
    assert stopped.returncode == 2
    command = "profilemill rebuild --from landing --mapping amplitude_events`"
    assert command in stopped.stdout
    assert "amplitude_id: string latest is now int latest" in stopped.stdout
    assert f"imports stop until `{command}" in profilemill(tmp_path, "status").stdout

    (tmp_path / "mappings/amplitude_events.lql").write_text("SELECT a FROM b BY a", encoding="utf-8")
    assert "FAULT mapping amplitude_events of shop-events\n      two files are the mapping 'amplitude_events'" in _findings(tmp_path)


def test_unreadable_values_are_counted_by_map_and_diff(tmp_path: Path) -> None:
    for name, kind in (("old", "string"), ("new", "int")):
        text = f"{_HEAD}by: [plan]\nfields:\n  - {{field: plan, from: plan, kind: {kind}}}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "in.jsonl").write_text('{"plan": "pro"}\n{"plan": "5"}\n{"plan": "free"}\n', encoding="utf-8")
    mapped = profilemill(tmp_path, "map", "new.yaml", "in.jsonl")
    assert "plan: 2 of 3 values could not be read, for example pro, free" in mapped.stderr
    compared = profilemill(tmp_path, "mapping", "diff", "old.yaml", "new.yaml", "--input", "in.jsonl")
    assert "plan: values that could not be read: 0 -> 2" in compared.stdout, compared.stderr


def test_a_file_that_is_not_json_is_not_listed_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("nonsense\n" * 500, encoding="utf-8")
    mapped = profilemill(tmp_path, "map", "amplitude_events", "in.txt")
    assert mapped.returncode == 1
    assert mapped.stderr.splitlines()[-2:] == ["line 5 is not a JSON object", "500 lines are not JSON objects"]


@pytest.mark.parametrize("name", ["plan_test.yaml", "plan.test.yml", "test_plan.yaml", "plan.tests.yaml"])
def test_tests_of_another_name_are_not_passed_over_in_silence(name: str, tmp_path: Path) -> None:
    from etl.errors import ConfigurationError
    from etl.pipeline.mapping_tests import run_tests

    (tmp_path / "plan.yaml").write_text(f"{_HEAD}{_FIELD}", encoding="utf-8")
    file = tmp_path / name
    file.write_text("- {record: {amplitude_id: 5}, expect: {amplitude_id: '5'}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not named as tests are") as caught:
        run_tests([str(file)], [tmp_path])
    assert caught.value.next_step == "tests of a mapping plan are named plan.test.yaml"
    assert [one.misnamed for one in run_tests([], [tmp_path]) if one.mapping == file] == [True]
