"""Mappings that give events: where fields stand, what is refused, and that both front ends say the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import MappingError
from etl.mapping import Mapping, load_mapping
from etl.mapping.apply import EventCounts, EventMapping
from etl.mapping.paths import contradiction, nested, path_of, written
from etl.mapping.plan import plan
from etl.pipeline.mapping_cases import read_cases
from etl.pipeline.mapping_tests import run_cases
from etl.pipeline.trial import map_file

DOCUMENT = """
stream: shop
into: event
time: at
where: kind != "test"
fields:
  - {field: user_id, from: id, kind: string}
  - {field: user_id, from: mail, if: id == "0", kind: string}
  - {field: time, from: todate(at), kind: int}
  - {field: seen, from: at, kind: date}
  - {field: properties.text, from: 'string.substr(p.text, 0, 3)', kind: string}
  - {field: properties, from: 'match("p.")', kind: 'map[string]value'}
  - {field: 'lines[0].kinds', from: tags, kind: '[]string'}
  - {field: 'lines[0].amount', from: amount, kind: number}
  - {field: 'lines[1].raw', from: raw, kind: value}
  - {field: old, from: '"yes"', if: at < "now-1d", kind: bool}
"""
STATEMENT = """
SELECT id AS user_id KIND string, mail AS user_id IF id == "0" KIND string, todate(at) AS time KIND int, at AS seen KIND date,
  string.substr(p.text, 0, 3) AS `properties.text` KIND string, match("p.") AS properties KIND map[string]value,
  tags AS `lines[0].kinds` KIND []string, amount AS `lines[0].amount` KIND number, raw AS `lines[1].raw` KIND value,
  "yes" AS old IF at < "now-1d" KIND bool
FROM shop INTO EVENT WHERE kind != "test" TIME at
"""
RECORD = {
    "id": 12345678901234567890123,
    "at": "2024-03-02T00:12:30.5+01:00",
    "p": {"text": "abcdef", "n": 1, "f": 1.5, "b": False, "gone": None, "deep": {"x": [1, 2]}},
    "tags": ["b", "a", "b"],
    "amount": "12.50",
    "raw": {"a": [1, {"b": None}]},
}
EVENT = {
    "user_id": "12345678901234567890123",
    "time": 1709334750500,
    "seen": "2024-03-01T23:12:30.500000+00:00",
    "properties": {"text": "abc", "n": 1, "f": 1.5, "b": False, "deep.x": [1, 2]},
    "lines": [{"kinds": ["b", "a"], "amount": 12.5}, {"raw": {"a": [1, {}]}}],
}


DATED = """
stream: shop
into: event
fields:
  - {field: time, from: todate(at), kind: int}
  - {field: time, from: todate(seen), if: kind == 1, kind: int}
"""


def load(folder: Path, text: str, suffix: str = "yaml") -> Mapping:
    path = folder / f"shop.{suffix}"
    path.write_text(text, encoding="utf-8")
    return load_mapping(str(path), [])


@pytest.mark.parametrize(("text", "suffix"), [(DOCUMENT, "yaml"), (STATEMENT, "lql")])
def test_an_event_with_everything(tmp_path: Path, text: str, suffix: str) -> None:
    mapping = load(tmp_path, text, suffix)
    assert mapping.warnings == ()
    assert EventMapping(mapping).event(RECORD) == EVENT


def test_what_is_missing_is_left_out_and_an_empty_list_is_not(tmp_path: Path) -> None:
    ready, counts = EventMapping(load(tmp_path, DOCUMENT)), EventCounts()
    records: list[dict[str, Any]] = [
        {"tags": [], "p": {}, "amount": "", "raw": False},
        {"kind": "test"},
        {"id": "0", "mail": "m", "amount": "much", "at": "soon"},
        {"id": "0"},
    ]
    made = list(ready.events(records, counts))
    assert made == [
        {"lines": [{"kinds": []}, {"raw": False}]},
        {"user_id": "m"},
        {"user_id": "0"},
    ]
    assert (counts.events, counts.left_out, counts.misfits) == (3, 1, {"time": 1, "lines[0].amount": 1, "seen": 1})


def test_a_text_that_a_function_cannot_read_did_not_fit(tmp_path: Path) -> None:
    """As in imports: a date that is none is counted, and not only missing."""
    text = "stream: shop\ninto: event\nfields:\n  - {field: time, from: todate(at), kind: int}\n  - {field: id, from: id, kind: string}\n"
    ready, counts = EventMapping(load(tmp_path, text)), EventCounts()
    records: list[dict[str, Any]] = [
        {"id": "1", "at": "yesterday"},
        {"id": "2", "at": ""},
        {"id": "3"},
        {"id": "4", "at": "2024-03-02T00:12:30Z"},
    ]
    made = list(ready.events(records, counts))
    assert made == [{"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": "4", "time": 1709338350000}]
    assert counts.misfits == {"time": 1}


def test_a_date_that_cannot_be_read_is_counted_and_one_that_is_missing_is_not(tmp_path: Path) -> None:
    ready, counts = EventMapping(load(tmp_path, DATED)), EventCounts()
    records: list[dict[str, Any]] = [{}, {"at": ""}, {"at": None}, {"at": "soon"}, {"at": 5}]
    records.append({"at": "2024-03-02", "seen": "soon", "kind": 1})
    assert [event for event in ready.events(records, counts) if event] == [{"time": 1709337600000}]
    assert counts.misfits == {"time": 2}


def test_date_math_starts_from_the_records_own_time(tmp_path: Path) -> None:
    text = DOCUMENT.replace('at < "now-1d"', 'todate(other) < "now-1d"').replace("yes", "true")
    ready = EventMapping(load(tmp_path, text))
    one = ready.event({"at": "2024-03-02T00:00:00Z", "other": "2024-02-01"})
    assert one and one["old"] is True
    later = ready.event({"other": "2024-02-01"}, datetime(2024, 2, 1, 12, tzinfo=UTC))
    assert later is not None and "old" not in later


def test_a_profile_mapping_gives_no_events_and_the_other_way_round(tmp_path: Path) -> None:
    mapping = load(tmp_path, DOCUMENT)
    with pytest.raises(MappingError, match="gives events to send on"):
        plan(mapping)
    profile = load(tmp_path, "stream: s\nfields: [{field: a, from: a, kind: string}]")
    with pytest.raises(MappingError, match="gives fields of profiles"):
        EventMapping(profile)


def test_into_counts_as_a_change(tmp_path: Path) -> None:
    fields = "stream: s\nfields: [{field: a, from: a, kind: string}]"
    assert load(tmp_path, fields).fingerprint != load(tmp_path, "into: event\n" + fields).fingerprint


def test_events_and_profiles_do_not_extend_each_other(tmp_path: Path) -> None:
    load(tmp_path, DOCUMENT)
    (tmp_path / "more.yaml").write_text("extends: [shop]\nfields: [{field: more, from: more, kind: value}]", encoding="utf-8")
    more = EventMapping(load_mapping("more", [tmp_path])).event({"id": "u", "more": [1]})
    assert more == {"user_id": "u", "more": [1]}
    for name, text in (
        ("profile", "into: user\nextends: [shop]\nfields: [{field: a, from: a, kind: string}]"),
        ("event", "into: event\nextends: [plain]\nfields: [{field: a, from: a, kind: string}]"),
        ("plain", "stream: s\nfields: [{field: b, from: b, kind: string}]"),
    ):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingError, match="E416 shop gives events, which this mapping does not"):
        load_mapping("profile", [tmp_path])
    with pytest.raises(MappingError, match="E416 plain gives fields of profiles, which this mapping does not"):
        load_mapping("event", [tmp_path])


def test_mapping_test_and_map_show_events(tmp_path: Path) -> None:
    mapping = load(tmp_path, DOCUMENT)
    cases = tmp_path / "shop.test.yaml"
    cases.write_text(
        f"""
- name: right
  record: {json.dumps(RECORD)}
  exact: true
  expect_time: 2024-03-01T23:12:30.5Z
  expect:
    user_id: "12345678901234567890123"
    time: 1709334750500
    seen: 2024-03-01T23:12:30.5Z
    properties.text: abc
    properties: {{text: abcdef, n: 1, f: 1.5, b: false, deep.x: [1, 2]}}
    lines[0].kinds: [b, a]
    lines[0].amount: 12.5
    lines[1].raw: {{a: [1, {{}}]}}
- name: left out
  record: {{kind: test}}
  skipped: true
- name: wrong
  record: {{id: a, kind: test2, tags: [], p: {{n: 1}}}}
  exact: true
  expect: {{user_id: b, time: 1, "lines[0].kinds": [], properties: {{n: "1"}}}}
- name: wrongly there
  record: {{id: a}}
  skipped: true
""",
        encoding="utf-8",
    )
    right, left_out, wrong, there = run_cases(mapping, read_cases(cases, mapping))
    assert right.differences == left_out.differences == ()
    assert [(one.field, one.expected, one.got) for one in wrong.differences] == [
        ("user_id", "b", "a"),
        ("time", "1", "missing"),
        ("properties.n", "1", "1"),
    ]
    assert [(one.field, one.got) for one in there.differences] == [("record", "mapped")]
    (tmp_path / "events.jsonl").write_text(json.dumps(RECORD) + '\n{"kind": "test"}\n[]\n', encoding="utf-8")
    mapped = map_file(mapping, tmp_path / "events.jsonl")
    assert (mapped.rows, mapped.bad) == ([EVENT], [3])
    cases.write_text("- {records: [{id: a}, {id: b}], expect: {user_id: a}}", encoding="utf-8")
    with pytest.raises(MappingError, match="E608"):
        read_cases(cases, mapping)


NAMES = st.lists(st.sampled_from(["a", "b", "a.b", "a.b.c", "a[0]", "a[1]", "a[0].b", "a[0][0]", "b.c[0].d"]), min_size=1, unique=True)


@given(NAMES)
def test_paths_without_contradiction_find_their_values_again(names: list[str]) -> None:
    paths = [path for name in names if (path := path_of(name))]
    assert [written(path) for path in paths] == names
    kept: list[Any] = []
    for path in paths:
        if contradiction((one, False) for one in [*kept, path]) is None:
            kept.append(path)
    made = nested((path, number) for number, path in enumerate(kept))
    for number, path in enumerate(kept):
        place: Any = made
        for step in path:
            place = place[step]
        assert place == number


@pytest.mark.parametrize("name", ["", "a.", ".a", "a..b", "a[", "a[x]", "[0]", "a[0]b", "a[01]", "a[100]"])
def test_what_is_no_place(name: str) -> None:
    assert path_of(name) is None
