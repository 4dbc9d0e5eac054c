"""`mapping test`: what it says of wrong files, of failing cases, and of the mappings that come with Profilemill."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.errors import MappingError
from etl.mapping import Mapping, load_mapping
from etl.mapping.model import Expression, Source
from etl.mapping.parser import parse
from etl.pipeline.mapping_cases import DEFAULT_TIME, beside, read_cases
from etl.pipeline.mapping_tests import Difference, run_cases
from tests.pipeline.projects import profilemill

ROOT = Path(__file__).parent.parent.parent
SHIPPED = sorted(path.stem for path in (ROOT / "mappings").glob("*.yaml") if not path.name.endswith(".test.yaml"))
# Every event has these, or its receiver could not tell a repetition.
ALWAYS_THERE = {"insert_id", "source_request_id", "events[0].event_type", "events[0].data.source_message_id"}
FOLDER = ROOT / "tests/messages/mapping_tests"
MESSAGES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "shop.yaml")


def _shipped(name: str) -> Mapping:
    return load_mapping(name, [ROOT / "mappings"])


def _shop() -> Mapping:
    return load_mapping(str(FOLDER / "shop.yaml"), [])


def _differences(text: str, folder: Path, mapping: Mapping | None = None) -> list[tuple[Difference, ...]]:
    file = folder / "shop.test.yaml"
    file.write_text(text, encoding="utf-8")
    mapping = mapping or _shop()
    return [outcome.differences for outcome in run_cases(mapping, read_cases(file, mapping))]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.stem)
def test_faults_as_text(case: Path) -> None:
    """Written by PROFILEMILL_WRITE_MESSAGES=1 and read with care, like the messages about mappings."""
    with pytest.raises(MappingError) as caught:
        read_cases(case, _shop())
    golden = case.with_suffix(".txt")
    if os.environ.get("PROFILEMILL_WRITE_MESSAGES"):
        golden.write_text(caught.value.what + "\n", encoding="utf-8")
    assert caught.value.what + "\n" == golden.read_text(encoding="utf-8")
    assert str(case) in str(caught.value), "the message names the file to correct"


def test_every_shipped_mapping_passes_its_tests() -> None:
    done = profilemill(ROOT, "mapping", "test", *SHIPPED, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [(Path(one["mapping"]).stem, one["failed"], one["error"]) for one in found] == [(name, 0, None) for name in SHIPPED]
    assert all(one["cases"] for one in found)


def test_every_shipped_field_is_expected_with_a_value_and_without() -> None:
    with_value: set[str] = set()
    without: set[str] = set()
    for name in SHIPPED:
        mapping = _shipped(name)
        assert mapping.path is not None
        for case in read_cases(beside(mapping.path), mapping):
            with_value |= {one.field for one in case.expected if one.value is not None}
            without |= {one.field for one in case.expected if one.value is None}
    fields = {field.name for name in SHIPPED for field in _shipped(name).fields}
    assert fields - with_value == set()
    assert fields - without == ALWAYS_THERE


@pytest.mark.parametrize("name", [name for name in SHIPPED if not _shipped(name).gives_events])
def test_the_order_of_records_plays_no_part(name: str) -> None:
    mapping = _shipped(name)
    assert mapping.path is not None
    cases = [case for case in read_cases(beside(mapping.path), mapping) if len(case.records) > 1]
    assert cases
    shuffled = [replace(case, records=records) for case in cases for records in itertools.permutations(case.records)]
    assert [(outcome.name, outcome.differences) for outcome in run_cases(mapping, shuffled) if outcome.differences] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_that_gets_lost_fails_a_case(name: str) -> None:
    mapping = _shipped(name)
    assert mapping.path is not None
    own = mapping.fields[-6:] if name == "amplitude_events_additional" else mapping.fields
    nowhere = {is_map: Source(Expression(text, parse(text))) for is_map, text in ((False, "nowhere"), (True, 'match("nowhere.")'))}
    lost = replace(mapping, by=(), fields=tuple(replace(field, sources=(nowhere[field.kind.is_map],)) for field in mapping.fields))
    outcomes = run_cases(lost, read_cases(beside(mapping.path), mapping))
    noticed = {one.field for outcome in outcomes for one in outcome.differences}
    assert {field.name for field in own} - noticed == set()


def test_values_are_written_as_people_write_them(tmp_path: Path) -> None:
    """Dates, `yes`, leading zeros and long numbers of a record reach the mapping as they stand; expectations are read by kind."""
    text = """
- name: plain words
  record: {event_time: 2022-11-21 15:42:30, user_id: 007, amplitude_id: 18446744073709551616, paying: yes, event_type: no}
  expect: {amplitude_user_id: 007, amplitude_id: 18446744073709551616, paying: ~, amplitude_events: {no: 1}}
  expect_time: 2022-11-21T16:42:30+01:00
- name: json
  record: {"user_id": "7", "paying": true, "tags": ["b", "a", "b"], "event_type": "Buy", "event_properties": {"revenue": 1e1, "size": "5"}}
  expect: {amplitude_user_id: 7, paying: true, tags: [b, a], revenue: 10, size: 5, amplitude_id: ~, amplitude_events: {Buy: 1}}
  time: 2022-11-22
  expect_time: 2022-11-22T00:00:00Z
- name: the null word
  record: {user_id: "null", amplitude_id: null, tags: []}
  expect: {amplitude_user_id: "null", amplitude_id: null, tags: [], amplitude_events: {}, revenue: ~}
- name: its own members come before those it takes over
  record: {<<: [{user_id: a, paying: false}, {user_id: b, amplitude_id: 5}], paying: true}
  expect: {amplitude_user_id: a, amplitude_id: 5, paying: true}
"""
    assert _differences(text, tmp_path) == [(), (), (), ()]


def test_a_case_without_a_time_has_one_that_never_changes(tmp_path: Path) -> None:
    (found,) = _differences("- record: {user_id: a}\n  expect_time: 2024-01-01\n", tmp_path)
    assert found == ()
    assert datetime(2024, 1, 1, tzinfo=UTC) == DEFAULT_TIME


def test_records_of_one_person_are_merged(tmp_path: Path) -> None:
    text = """
- name: a key twice counts once, the last line
  records:
    - {uuid: a, user_id: u, event_type: Buy, event_time: 2022-11-21, event_properties: {revenue: 1}}
    - {uuid: a, user_id: u, event_type: Buy, event_time: 2022-11-21, event_properties: {revenue: 2}}
    - {uuid: b, user_id: u, event_type: Buy, event_time: 2022-11-20, event_properties: {revenue: 4, size: 3}}
    - {uuid: c, user_id: u, event_type: View, event_time: 2022-11-19, is_test: true}
  expect: {revenue: 6, first_purchase: 2022-11-20, size: 3, amplitude_events: {Buy: 2}}
- name: linked by an identifier
  records: [{uuid: a, amplitude_id: 7}, {uuid: b, amplitude_id: 7, user_id: u}, {uuid: c, user_id: u}, {uuid: d}]
  expect: {amplitude_user_id: u, amplitude_id: 7}
- name: two users are never one person, even on one device
  records: [{uuid: a, amplitude_id: 7, user_id: u}, {uuid: b, amplitude_id: 7, user_id: v}]
  expect: {amplitude_id: 7}
- name: nothing links them
  records: [{uuid: a, amplitude_id: 7}, {uuid: b, user_id: v}]
  expect: {amplitude_id: 7}
"""
    once, linked, users, apart = _differences(text, tmp_path)
    assert once == linked == ()
    assert [(one.field, one.expected, one.got) for one in users] == [
        ("records", "one person", "2 people: amplitude_id=7, amplitude_user_id=v")
    ]
    assert [one.got for one in apart] == ["2 people: amplitude_id=7, amplitude_user_id=v"]


FAILING = """
- name: a purchase
  record: &buy
    {uuid: a, user_id: u-1, event_type: View, event_time: 2022-11-21, tags: [b, a], event_properties: {revenue: a lot, size: 4}}
  expect: {revenue: 12.5, first_purchase: 2022-11-21, amplitude_events: {Buy: 1}, amplitude_id: 7, tags: [a]}
- name: unreadable behind a guard
  record: {<<: *buy, event_type: Buy, event_properties: {size: four}}
  expect: {size: 4, tags: ~}
- name: fine
  record: *buy
  expect: {tags: [a, b]}
- name: nothing else
  record: {user_id: u-1, tags: [a]}
  expect: {tags: [a]}
  exact: true
- name: a test event
  record: {user_id: u-1, is_test: 1}
  expect: {amplitude_user_id: u-1}
- name: not a test event
  record: {user_id: u-1}
  skipped: true
- name: time and key
  record: *buy
  expect_time: 2022-11-22
  expect_key: b
"""

SAID = """FAIL  mappings/shop.test.yaml  (6 of 7 cases failed)
      a purchase  shop.test.yaml:2
        revenue
          expected  12.5
          got       missing  ('a lot' could not be read as number)
        first_purchase
          expected  2022-11-21T00:00:00+00:00
          got       missing  (its `if` is not true: event_type == "Buy")
        amplitude_events.Buy
          expected  1
          got       missing
        amplitude_events.View
          expected  missing
          got       1
        amplitude_id
          expected  7
          got       missing  (nothing there for amplitude_id)
        tags
          expected  ["a"]
          got       ["a", "b"]
      unreadable behind a guard  shop.test.yaml:6
        size
          expected  4
          got       missing  ('four' could not be read as int)
        tags
          expected  missing
          got       ["a", "b"]
      nothing else  shop.test.yaml:12
        amplitude_user_id
          expected  missing, by `exact`
          got       u-1
      a test event  shop.test.yaml:16
        record
          expected  mapped
          got       left out  (`where` is not true: NOT EXISTS is_test)
      not a test event  shop.test.yaml:19
        record
          expected  left out
          got       mapped  (`where` is true: NOT EXISTS is_test)
      time and key  shop.test.yaml:22
        time
          expected  2022-11-22T00:00:00+00:00
          got       2022-11-21T00:00:00+00:00
        key
          expected  b
          got       a
"""


def _project(folder: Path, tests: str) -> Path:
    (folder / "mappings").mkdir()
    (folder / "mappings/shop.yaml").write_text((FOLDER / "shop.yaml").read_text())
    (folder / "mappings/shop.test.yaml").write_text(tests)
    return folder


def test_failures_say_what_and_why(tmp_path: Path) -> None:
    done = profilemill(_project(tmp_path, FAILING), "mapping", "test")
    assert (done.returncode, done.stdout, done.stderr) == (1, SAID, "")
    (one,) = json.loads(profilemill(tmp_path, "mapping", "test", "shop", "--json").stdout)
    assert (one["failed"], one["error"]) == (6, None)
    assert one["cases"][1]["differences"][0] == {
        "field": "size",
        "expected": "4",
        "got": "missing",
        "why": "'four' could not be read as int",
    }
    assert [case["passed"] for case in one["cases"]] == [False, False, True, False, False, False, False]


def test_what_is_run_and_the_exit_codes(tmp_path: Path) -> None:
    folder = _project(tmp_path, "- {name: fine, record: {user_id: u}, expect: {amplitude_user_id: u}}\n")
    (folder / "mappings/bare.yaml").write_text((FOLDER / "shop.yaml").read_text())
    done = profilemill(folder, "mapping", "test")
    assert (done.returncode, done.stdout) == (
        0,
        "none  mappings/bare.yaml has no tests\nok    mappings/shop.test.yaml  (1 case passed)\n1 case passed, 0 failed\n",
    )
    for named in ("shop", "mappings/shop.yaml", "mappings/shop.test.yaml"):
        assert "1 case passed" in profilemill(folder, "mapping", "test", named).stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    nothing = profilemill(elsewhere, "mapping", "test")
    assert (nothing.returncode, "there are no mappings here" in nothing.stderr) == (2, True)
    (folder / "jobs.yaml").write_text("this: is not read\n")
    assert "1 case passed" in profilemill(elsewhere, "mapping", "test", "--jobs", "../jobs.yaml").stdout
    unknown = profilemill(folder, "mapping", "test", "shopp")
    assert (unknown.returncode, "did you mean 'shop'?" in unknown.stderr) == (2, True)
    gone = profilemill(folder, "mapping", "test", "mappings/gone.test.yaml")
    assert (gone.returncode, "there is no such test file" in gone.stderr) == (2, True)


def test_faults_stop_only_their_own_tests(tmp_path: Path) -> None:
    folder = _project(tmp_path, "- {name: fine, record: {user_id: u}, expect: {amplitude_user_id: u}}\n")
    mappings = folder / "mappings"
    (mappings / "broken.yaml").write_text("stream: amplitude_events\nfields:\n  - {field: a, from: todat(x), kind: date}\n")
    (mappings / "broken.test.yaml").write_text("- {record: {}, expect: {a: ~}}\n")
    (mappings / "other.yaml").write_text((FOLDER / "shop.yaml").read_text())
    (mappings / "other.test.yaml").write_text("- {record: {}, expect: {revenu: 1}}\n")
    done = profilemill(folder, "mapping", "test")
    assert done.returncode == 2
    assert "broken.yaml:3:22: E201 there is no function 'todat'" in done.stdout
    assert "other.test.yaml:1:25: E606 the mapping other has no field 'revenu'" in done.stdout
    assert "did you mean 'revenue'?" in done.stdout
    assert "ok    mappings/shop.test.yaml  (1 case passed)" in done.stdout
    (mappings / "shopp.test.yaml").write_text("- {record: {}, expect: {revenue: 1}}\n")
    orphan = profilemill(folder, "mapping", "test")
    assert (orphan.returncode, "there is no mapping 'shopp' beside its tests" in orphan.stderr) == (2, True)
    assert "did you mean 'shop'?" in orphan.stderr
