"""Exits follow from the snapshots in force: every guard alone, and any order of arrival."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.lake.loads import current_loads
from etl.landing.snapshot import Snapshot, exit_records, land_snapshot, members_in
from etl.pipeline.exits import Known, bases
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.profiles import build
from etl.profiles.memberships import read_memberships, update_memberships
from etl.settings import Clock
from tests.pipeline.shops import FIRST, Shop, running_shop

_COHORT, _NAME = st.sampled_from(["a", "b", "c"]), st.sampled_from(["N", "M"])
History = dict[tuple[str, int], tuple[str, frozenset[str]]]
_HISTORY = st.dictionaries(st.tuples(_COHORT, st.integers(0, 6)), st.tuples(_NAME, st.frozensets(st.sampled_from("xyz"))), max_size=12)


@settings(max_examples=60, deadline=None)
@given(_HISTORY)
def test_a_name_is_true_for_exactly_those_whom_a_cohort_of_that_name_holds(history: History) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = {}
        for (cohort, time), (name, members) in history.items():
            path = Path(folder) / f"{cohort}-{time}"
            path.mkdir()
            (path / "members.csv").write_text("amplitude_id\n" + "".join(f"{member}\n" for member in sorted(members)), encoding="utf-8")
            known[f"{cohort}/{time}"] = Known(f"{cohort}/{time}", cohort, name, time, "", "", path)
        found: defaultdict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
        for (_, time), (name, members) in history.items():
            for member in members:
                found[(name, member)].append((time, True))
        for load, basis in bases(known.values()).items():
            one, before = known[load], basis.before()
            snapshot = Snapshot(one.cohort_id, one.name, one.last_computed, None, "shop")
            for record in exit_records(snapshot, members_in(one.folder), before) if before else ():
                if "cohort_name" in record:
                    found[(record["cohort_name"], record["amplitude_id"])].append((one.last_computed, False))
    newest: dict[str, tuple[str, frozenset[str]]] = {}
    for (cohort, _), state in sorted(history.items(), key=lambda item: item[0][1]):
        newest[cohort] = state
    for (name, member), changes in found.items():
        holds = any(name == one and member in members for one, members in newest.values())
        assert max(changes)[1] is holds, f"{member} in {name}"


@pytest.mark.parametrize(("leaves", "enters"), [("a", "b"), ("b", "a")])
def test_the_order_within_a_run_does_not_matter(shop: Shop, leaves: str, enters: str) -> None:
    """A member moves from one cohort to another of the same name: whichever is loaded first, the name stays true."""
    shop.cohort(leaves, ["1", "2"], FIRST, name="Same")
    shop.cohort(enters, ["3"], FIRST, name="Same")
    shop.run()
    shop.cohort(leaves, ["2"], FIRST + 20, name="Same")
    shop.cohort(enters, ["1", "3"], FIRST + 10, name="Same")
    assert shop.run().failed == {}
    assert shop.membership("1", "names") == {"Same": True}
    assert shop.membership("1") == {leaves: False, enters: True}


HISTORY = [
    ("a", 0, "N", "xy"), ("a", 10, "N", "y"), ("a", 20, "N", "xyz"), ("b", 5, "N", "xz"), ("b", 15, "M", "z"), ("b", 25, "M", ""),
]  # fmt: skip


def test_any_order_of_arrival_gives_the_same(shop: Shop) -> None:
    arrivals = HISTORY.copy()
    random.Random(2).shuffle(arrivals)
    for cohort, time, name, members in arrivals:
        shop.cohort(cohort, list(members), FIRST + time, name=name)
        assert shop.run().failed == {}
        if time % 2:
            update_memberships(shop.project.lake)
    assert [shop.membership(member, "names") for member in "xyz"] == [{"N": True}, {"N": True}, {"N": True, "M": False}]
    expected = sorted(
        [("a", "x", 0, 10), ("a", "y", 0, None), ("a", "x", 20, None), ("a", "z", 20, None), ("b", "x", 5, 15), ("b", "z", 5, 25)], key=str
    )
    assert _memberships(shop) == expected
    assert update_memberships(shop.project.lake, full=True) == 2
    assert _memberships(shop) == expected


def test_a_cohort_that_comes_late_changes_many_snapshots_at_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Each of them is derived from the one before it, whose files have just moved."""
    for number, members in enumerate(["y", "xy", "y", "xy", "y"]):
        shop.cohort("a", list(members), FIRST + number * 10, name="N")
        assert shop.run().failed == {}
    assert shop.membership("x", "names") == {"N": False}
    caplog.clear()
    shop.cohort("b", ["x"], FIRST + 5, name="N")
    assert shop.run().failed == {}
    assert "raw files are gone" not in caplog.text
    assert shop.membership("x", "names") == {"N": True}


def test_a_snapshot_that_replaces_another_changes_what_follows_from_it(shop: Shop) -> None:
    shop.cohort("a", ["1"], FIRST)
    shop.run()
    shop.cohort("a", ["2"], FIRST + 10)
    shop.run()
    shop.cohort("a", ["3"], FIRST)
    shop.run(force=True)
    assert shop.membership("3") == {"a": False}
    assert _memberships(shop) == [("a", "2", 10, None), ("a", "3", 0, 10)]


def test_a_late_snapshot_that_makes_too_many_leave_later_needs_a_word(shop: Shop) -> None:
    everybody = [str(number) for number in range(1, 21)]
    shop.cohort("a", everybody[:5], FIRST + 10)
    shop.run()
    shop.cohort("a", everybody, FIRST)
    assert "15 of 20 left" in shop.run().failed["a (a)"]
    assert len(current_loads(shop.project.lake)) == 1
    assert shop.run(accept_exits=["a"]).failed == {}
    assert shop.membership("20") == {"a": False}


def test_an_exhausted_quota_is_no_information(tmp_path: Path) -> None:
    moment = [datetime(2024, 3, 30, tzinfo=UTC)]
    with running_shop(tmp_path, clock=Clock(lambda: moment[0], lambda seconds: None), monthly_quota=2) as shop:
        shop.cohort("a", ["1", "2"], FIRST)
        shop.cohort("b", ["1"], FIRST)
        shop.run()
        shop.cohort("a", ["2"], FIRST + 10)
        assert "quota" in shop.run().failed["a (a)"]
        assert shop.membership("1") == {"a": True, "b": True}
        moment[0] = datetime(2024, 4, 1, tzinfo=UTC)
        assert shop.run().failed == {}
        assert shop.membership("1") == {"a": False, "b": True}


def test_a_deselected_cohort_stays_as_it_was(shop: Shop) -> None:
    shop.cohort("a", ["1"], FIRST)
    shop.cohort("b", ["1"], FIRST)
    shop.run()
    shop.cohort("a", [], FIRST + 10)
    shop.configure(cohorts=["b"])
    shop.run()
    assert shop.membership("1") == {"a": True, "b": True}
    assert _memberships(shop) == [("a", "1", 0, None), ("b", "1", 0, None)]


def test_of_a_job_that_only_adds_nobody_leaves(shop: Shop) -> None:
    shop.cohort("a", ["1", "2"], FIRST)
    shop.run()
    shop.configure(amplitude_id_field="")
    shop.cohort("a", ["1"], FIRST + 10)
    shop.run()
    assert shop.membership("2") == {"a": True}
    assert _memberships(shop) == [("a", "1", 0, None), ("a", "2", 0, None)]


def test_what_a_killed_run_left_is_settled_by_the_next(shop: Shop) -> None:
    """The commit of a late snapshot without that of the one after it, which is all that a kill between them leaves."""
    shop.cohort("a", ["1"], FIRST + 20)
    shop.run()
    project, lake = shop.project, shop.project.lake
    snapshot = Snapshot("a", "a", FIRST, 2, "shop")
    file = lake.root / "arrived.csv"
    file.write_text("amplitude_id\n1\n2\n", encoding="utf-8")
    landed = land_snapshot(lake.landing, snapshot, file, None, {"download": "d", "basis": "first"})
    ingest(Ingest(lake, project.mapping(project.job("shop-cohorts")), "shop-cohorts"), [landed])
    assert shop.membership("2") == {"a": True}
    assert shop.run().replaced == [f"amplitude_cohorts/shop/a/{FIRST + 20}"]
    assert shop.membership("2") == {"a": False}
    assert shop.run().replaced == []


def test_a_cohort_without_news_keeps_its_file(shop: Shop) -> None:
    shop.cohort("a", ["1"], FIRST)
    shop.cohort("b", ["1"], FIRST)
    shop.run()
    build(shop.project)
    before = set(shop.project.lake.cohort_memberships.path.glob("*.parquet"))
    shop.cohort("a", [], FIRST + 10)
    shop.run()
    assert update_memberships(shop.project.lake) == 1
    assert update_memberships(shop.project.lake) == 0
    assert len(set(shop.project.lake.cohort_memberships.path.glob("*.parquet")) - before) == 1


def _memberships(shop: Shop) -> list[tuple[str, str, int, int | None]]:
    """Cohort, member, entered and left, in seconds from FIRST."""
    build(shop.project)
    found = read_memberships(shop.project.lake)
    return sorted(
        ((row["cohort_id"], row["amplitude_id"], _second(row["entered"]), _second(row["left"])) for row in found),
        key=str,
    )


def _second(moment: object) -> int | None:
    return int(moment.timestamp()) - FIRST if isinstance(moment, datetime) else None
