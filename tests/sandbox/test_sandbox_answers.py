"""The right answers themselves, checked by hand on a tiny data set, and the shape of the invented one."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from etl.sandbox.answers import Answers, flat
from etl.sandbox.data import SampleSpec, answers, cohorts, export_members
from etl.sandbox.events import COLUMNS

NINE, TEN = datetime(2024, 3, 2, 9), datetime(2024, 3, 2, 10)  # noqa: DTZ001 (hours of answers are naive UTC)


def line(uuid: str | None, when: str, user: str | None, amplitude: int | None, **more: object) -> bytes:
    event = {"uuid": uuid, "event_time": when, "user_id": user, "amplitude_id": amplitude, "event_type": "A", **more}
    return json.dumps(event).encode()


def hand_made() -> Answers:
    made = Answers()
    made.add_lines(
        NINE,
        [
            b"\xef\xbb\xbf" + line("1", "2024-03-02 09:00:00", None, 11, city="Oslo", event_properties={"a": 1}),
            line("2", "2024-03-02 09:00:01", "ann", 11, city="", event_properties={"a": None, "b.c": [1, None, "x"]}),
            line("2", "2024-03-02 09:00:01", "ann", 11, city="", event_properties={"a": None, "b.c": [1, None, "x"]}),
            b"",
            b"not json",
            line("3", "2024-03-02 09:00:02.500000", "bob", 11, city="Bergen"),
            line("4", "2024-03-02 09:00:03", "anonymous", None),
            line(None, "2024-03-02 09:00:04", "ann", 12, event_type="B"),
            line(None, "2024-03-02 09:00:04", "ann", 12, event_type="B"),
        ],
    )
    made.add_lines(
        TEN,
        [
            line("2", "2024-03-01 09:00:01", "ann", 11, city="Rome", event_properties={"a": 2.5}),
            line("5", "2024-03-01 09:00:01", None, 11, city="Turin"),
            line("6", "2024-03-09 09:00:00", "0", 13, server_upload_time="2024-03-02 10:00:00"),
        ],
    )
    entry = {"id": "c1", "name": "Big", "lastComputed": 1709400000}
    header = ["amplitude_id", "user_id", "city"]
    made.add_cohort(entry, header, [["12", "", "Paris"], ["14", "ann", ""], ["14", "bob", "x"], ["15", "null", ""]])
    return made


def test_a_hand_made_data_set():
    result = hand_made().result()
    profiles = result.pop("profiles")
    assert result == {
        "lines": 11,
        "broken": 1,
        "duplicates": 1,
        "events": 9,
        "unidentified_events": 1,
        "wrong_clocks": 1,
        "hours": {
            "2024-03-02T09": {"lines": 8, "broken": 1, "duplicates": 1, "events": 6},
            "2024-03-02T10": {"lines": 3, "broken": 0, "duplicates": 0, "events": 3},
        },
        "cohorts": {"c1": {"name": "Big", "members": 3}},
        "unidentified_members": 0,
        "conflicts": [{"amplitude_id": "11", "amplitude_user_id": "bob", "stays_with": "ann"}],
    }
    assert [one["identifiers"] for one in profiles] == [
        {"amplitude_user_id": ["ann"], "amplitude_id": ["11", "12", "14"]},
        {"amplitude_user_id": ["bob"], "amplitude_id": []},
        {"amplitude_user_id": [], "amplitude_id": ["13"]},
        {"amplitude_user_id": [], "amplitude_id": ["15"]},
    ]
    assert profiles[0] == {
        "identifiers": {"amplitude_user_id": ["ann"], "amplitude_id": ["11", "12", "14"]},
        "records": 6,
        "amplitude_events": {"A": 4, "B": 2},
        "fields": {
            "amplitude_event_time": "2024-03-02T09:00:04+00:00",
            "amplitude_last_computed": "2024-03-02T17:20:00+00:00",
            "city": "Paris",
        },
        "amplitude_event_properties": {"a": "1", "b.c": "1,x"},
        "amplitude_user_properties": {},
        "amplitude_cohort_ids": {"c1": True},
        "amplitude_cohort_names": {"Big": True},
    }
    assert profiles[1]["fields"] == {"amplitude_event_time": "2024-03-02T09:00:02.500000+00:00", "city": "Bergen"}
    assert profiles[2]["amplitude_events"] == {"A": 1}


def test_at_equal_times_the_greater_text_wins():
    made = Answers()
    lines = [line(str(index), "2024-03-02 09:00:00", "ann", 1, city=city) for index, city in enumerate("acb")]
    made.add_lines(NINE, lines)
    assert made.result()["profiles"][0]["fields"]["city"] == "c"


def test_flat_texts():
    assert flat({"a": {"b.c": 1.5, "n": None}, "l": [], "o": [{"p": 1e-7}, [2**62]], "t": True, "e": {}}) == {
        "a.b.c": "1.5",
        "o[0].p": "0.0000001",
        "o[1]": "4611686018427387904",
        "t": "true",
    }


def rows(spec: SampleSpec) -> list[dict[str, object]]:
    found = []
    for _, lines in export_members(spec):
        for index, raw in enumerate(lines):
            try:
                value = json.loads(raw.removeprefix(b"\xef\xbb\xbf") if index == 0 else raw)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
    return found


def test_equal_specs_give_equal_bytes_and_other_seeds_others(small):
    assert dict(export_members(small)) == dict(export_members(replace(small)))
    assert dict(export_members(small)) != dict(export_members(replace(small, seed=8)))
    assert cohorts(small) == cohorts(replace(small))


def test_every_row_has_the_55_columns_except_the_published_event():
    assert len(COLUMNS) == 55
    others = {tuple(sorted(row)) for row in rows(SampleSpec(events=900)) if row["uuid"] != SEED_UUID}
    assert others == {tuple(sorted(COLUMNS))}


SEED_UUID = "22ed3a6e-69b3-11ed-898f-d5a02747ae5a"


def test_the_sample_holds_the_cases_that_go_wrong():
    spec = SampleSpec(seed=3)
    found, result = rows(spec), answers(spec)
    assert result["events"] == 5000
    assert result["lines"] == result["events"] + result["broken"] + result["duplicates"]
    assert min(result[name] for name in ("broken", "duplicates", "unidentified_events", "wrong_clocks")) > 0
    assert len(result["conflicts"]) > 0
    assert "2022-11-21T04" not in result["hours"]
    users = {row["user_id"] for row in found}
    assert {None, "", "anonymous", "007", "1e5"} <= users
    owners = Counter(row["amplitude_id"] for row in found if row["user_id"] is None)
    assert any(row["user_id"] == "007" and owners[row["amplitude_id"]] for row in found)
    assert any(len(one["identifiers"]["amplitude_id"]) > 1 for one in result["profiles"])
    assert any("\u2028" in raw.decode("utf-8", "replace") for _, lines in export_members(spec) for raw in lines)
    times = [str(row["event_time"]) for row in found]
    assert {"." in text for text in times} == {True, False}
    late = [row for row in found if str(row["event_time"])[:10] < "2022-11-20"]
    assert late
    names = {name for row in found for name in row["event_properties"]}
    assert {"[Amplitude] Page URL", "City", "city", "ad.cost", "note text"} <= names


def test_the_totals_of_profiles_and_unidentified_add_up(small):
    result = answers(small)
    assert sum(one["records"] for one in result["profiles"]) + result["unidentified_events"] == result["events"] == 600
    everyone = [value for one in result["profiles"] for value in one["identifiers"]["amplitude_id"]]
    assert len(everyone) == len(set(everyone))


def test_one_stream_alone(small):
    events, members = answers(small, members=False), answers(small, events=False)
    assert (events["cohorts"], members["events"], members["hours"]) == ({}, 0, {})
    assert not any(one["amplitude_cohort_ids"] for one in events["profiles"])
    assert all(one["amplitude_cohort_ids"] for one in members["profiles"])


@pytest.mark.parametrize("events,hours", [(0, 24), (1, 24), (5, 1), (30, 72)])
def test_any_size(events, hours):
    spec = SampleSpec(events=events, hours=hours, people=12)
    assert answers(spec)["events"] == events


def test_the_published_event_is_there_however_few_events():
    spec = SampleSpec(events=2, people=5)
    assert [row["uuid"] for row in rows(spec)].count(SEED_UUID) == 1
    later = replace(spec, first_hour=spec.first_hour + timedelta(days=1), events=50)
    assert [row["uuid"] for row in rows(later)].count(SEED_UUID) == 0


def test_ten_thousand_events_are_made_in_seconds():
    begun = time.process_time()
    assert sum(len(lines) for _, lines in export_members(SampleSpec(events=10_000))) > 10_000
    assert time.process_time() - begun < 5


def test_cohorts_are_computed_after_the_window(small):
    end = (small.first_hour + timedelta(hours=small.hours)).timestamp()
    assert all(one.entry["lastComputed"] > end for one in cohorts(small))
    assert all(len({row[0] for row in one.rows}) == len(one.rows) == one.entry["size"] for one in cohorts(small))
    assert small.first_hour.tzinfo is UTC
