"""Identity: who is one person and why, who is not, and what the command shows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.cli import main
from etl.lake.tables import transaction_of
from etl.profiles.build import build_profiles
from etl.profiles.explain import explain
from etl.profiles.identity import Codes, Links, resolve
from etl.profiles.published import find_profiles
from tests.profiles import lakes
from tests.profiles.histories import History
from tests.profiles.reference import Spec, hash_of
from tests.profiles.test_break_off import record

SIZE = 200_000
CITY = [Spec("city", "string", "latest", "text")]


def _chain() -> tuple[Codes, Codes]:
    nodes = np.arange(SIZE)
    return nodes[:-1], nodes[1:]


def _star() -> tuple[Codes, Codes]:
    return np.zeros(SIZE - 1, dtype=np.int64), np.arange(1, SIZE)


@pytest.mark.parametrize(("left", "right"), [_chain(), _star()], ids=["chain", "star"])
@pytest.mark.parametrize("users", [0, 1, SIZE // 100])
def test_giant_components(left: Codes, right: Codes, users: int) -> None:
    """Each of the users, spread over the giant, takes the part that was linked to them first."""
    rank = np.concatenate([np.ones(SIZE, dtype=np.int64), np.zeros(users, dtype=np.int64)])
    own = np.arange(SIZE, SIZE + users)
    ends = np.linspace(0, SIZE - 1, users, dtype=np.int64)
    first = np.arange(len(left) + users)
    found = resolve(Links(rank, np.concatenate([left, own]), np.concatenate([right, ends]), first))
    assert len(set(found.component.tolist())) == 1
    assert len(set(found.profile.tolist())) == max(users, 1)
    assert len(found.refused) == max(users - 1, 0)


@pytest.fixture
def told(tmp_path: Path) -> History:
    history = History(tmp_path / "project", CITY)
    history.load("amplitude_events", {0: [record(5, user="u1", device="d1"), record(6, user="u1", device="d1")]})
    history.load("amplitude_events", {1: [record(2, user="u1", device="d1"), record(7, device="d1", mail="m1")]})
    history.load("amplitude_cohorts", {0: [record(9, user="u2", device="d1"), record(9, user="u2", device="d2")]})
    history.build()
    return history


def test_why_identifiers_are_one_person(told: History) -> None:
    found = explain(told.lake, "mail", "m1")
    assert found is not None
    hours = ["amplitude_events/shop/2024-03-01T00", "amplitude_events/shop/2024-03-01T01"]
    assert (found.profile_id, found.named_by) == (hash_of(("user", "u1")), "user=u1")
    assert [(one.identifier, one.load, one.records) for one in found.identifiers] == [
        ("user=u1", hours[1], 3), ("device=d1", hours[1], 5), ("mail=m1", hours[1], 1),
    ]  # fmt: skip
    assert [(link.left, link.right, link.load, link.loads, link.records) for link in found.links] == [
        ("user=u1", "device=d1", hours[1], 2, 3),
        ("device=d1", "mail=m1", hours[1], 1, 1),
    ]
    (refused,) = found.refused
    assert (refused.left, refused.right, refused.left_person, refused.right_person) == ("user=u2", "device=d1", "user=u2", "user=u1")
    assert explain(told.lake, "profile_id", hash_of(("mail", "m1"))) == found
    assert explain(told.lake, "user", "nobody") is None


def test_the_command_explains(told: History, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = ["--jobs", str(told.folder / "jobs.yaml")]
    assert main(["identity", "explain", "device=d1", *jobs]) == 0
    shown = capsys.readouterr().out
    assert "user=u1 - device=d1  since 2024-03-01T00:00:02+00:00 in amplitude_events/shop/2024-03-01T01 and 1 more, 3 records" in shown
    assert "would join two people: 1" in shown
    assert main(["identity", "explain", "user=u2", "--json", *jobs]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["identifier"] for one in content["identifiers"]] == ["user=u2", "device=d2"]
    assert [one["right"] for one in content["refused"]] == ["device=d1"]
    for wrong, code in (("user=nobody", 1), ("user", 2), ("city=A", 2)):
        assert main(["identity", "explain", wrong, *jobs]) == code


def test_a_link_that_is_gone_splits_again(told: History) -> None:
    """And what was published for both leads to whoever has the identifier now."""
    old = hash_of(("user", "u1"))
    told.load("amplitude_events", {0: [record(5, user="u1")], 1: [record(7, device="d1", mail="m1")]})
    told.build()
    told.check()
    assert {one["value"] for one in find_profiles(told.lake, "profile_id", old)[0]["identifiers"]} == {"u1"}
    assert {one["value"] for one in find_profiles(told.lake, "mail", "m1")[0]["identifiers"]} == {"u2", "d1", "d2", "m1"}


def test_another_limit_moves_people_into_quarantine_and_back(tmp_path: Path) -> None:
    history = History(tmp_path / "project", CITY)
    history.load("amplitude_events", {0: [record(n, device="d1", mail=f"m{n}") for n in range(3)] + [record(9, user="u1")]})
    for limit, expected in ((4, (2, 0)), (3, (1, 1)), (50, (2, 0))):
        report = build_profiles(history.lake, max_identifiers=limit)
        assert (report.profiles, report.quarantined) == expected


def _count(history: History) -> Any:
    (found,) = find_profiles(history.lake, "user", "u1")
    return found["whole"]


def test_a_repeated_key_counts_once_and_is_named(tmp_path: Path) -> None:
    """The owner is the smallest load; when it loses the key, the next one has it; other settings count anew."""
    history = History(tmp_path / "project", [Spec("whole", "int", "sum", "whole")])
    own = record(1, user="u1", key="k1")
    history.load("amplitude_events", {0: [own | {"whole": 1}], 20: [own | {"whole": 10}], 80: [own | {"whole": 100}]})
    for days, total in ((None, 111), (1, 101), (30, 1), (None, 111)):
        history.dedupe_days = days
        report = history.build()
        assert (report.full, report.repeated_keys, _count(history)) == (True, 1, total)
        history.check()
    history.dedupe_days = 2
    history.build()
    history.load("amplitude_events", {0: [record(1, user="u1", whole=1)]})
    assert (history.build().full, _count(history)) == (False, 111)
    history.check()
    assert transaction_of(history.lake.profiles, "dedupe_days") == 2
    assert lakes.read_repeated(history.lake) == set()


def test_between_an_import_and_its_build_the_last_build_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of a load that counted in part are gone by then; its fragments are not."""
    history = History(tmp_path / "project", CITY)
    history.dedupe_days = 1
    linked = record(1, user="u1", device="d1", key="k1")
    history.load("amplitude_events", {0: [linked], 1: [linked, record(2, user="u1", mail="m1", key="k2")]})
    history.build()
    before = explain(history.lake, "user", "u1")
    assert before is not None
    assert ([(link.right, link.records) for link in before.links], before.waiting) == ([("device=d1", 1), ("mail=m1", 1)], 0)
    history.load("amplitude_events", {1: [linked, record(2, user="u1", key="k2")]})
    since = explain(history.lake, "user", "u1")
    assert since is not None
    assert ({link.right for link in since.links}, since.waiting) == ({"device=d1", "mail=m1"}, 1)
    assert main(["identity", "explain", "user=u1", "--jobs", str(history.folder / "jobs.yaml")]) == 0
    assert "as of the last build; 1 loads came since" in capsys.readouterr().out
    history.build()
    after = explain(history.lake, "user", "u1")
    assert after is not None
    assert ({link.right for link in after.links}, after.waiting) == ({"device=d1"}, 0)


def test_who_is_in_quarantine_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(tmp_path / "project", CITY)
    history.load("amplitude_events", {0: [record(n, device="d1", mail=f"m{n}") for n in range(3)] + [record(9, user="u1")]})
    build_profiles(history.lake, max_identifiers=3)
    jobs = ["--jobs", str(history.folder / "jobs.yaml")]
    gone = hash_of(("device", "d1"))
    for key in ("mail=m2", f"profile_id={gone}"):
        assert main(["profiles", "show", key, *jobs]) == 1
        shown = " ".join(capsys.readouterr().err.split())
        assert (
            f"{key} is in quarantine: the profile {gone} has 4 identifiers, more than max_identifiers (3), since 2024-03-01T00:00:02"
            in shown
        )
    assert main(["profiles", "show", "mail=m2", "--json", *jobs]) == 1
    told = capsys.readouterr()
    assert (json.loads(told.out), "is in quarantine" in told.err) == ([], True)
    assert main(["profiles", "show", "user=nobody", *jobs]) == 1
    assert "nobody has user=nobody" in capsys.readouterr().err
