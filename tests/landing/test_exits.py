"""Who left a cohort, and on which identifiers that is written."""

from __future__ import annotations

from etl.landing.snapshot import Before, Snapshot, exit_records

SNAPSHOT = Snapshot("c1", "Alpha", 1700000000, 1, "shop")


def _left(before: set[tuple[str, str]], now: set[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    records = exit_records(SNAPSHOT, frozenset(now), Before(frozenset(before), "Alpha"))
    return [(record.get("amplitude_id"), record.get("user_id")) for record in records]


def test_an_exit_has_the_identifiers_of_the_row_that_is_gone() -> None:
    assert _left({("1", "ana"), ("2", ""), ("user:bo", "bo")}, set()) == [("1", "ana"), ("2", None), (None, "bo")]


def test_of_two_users_with_one_amplitude_id_one_leaves() -> None:
    assert _left({("1", "ana"), ("1", "bo")}, {("1", "bo")}) == [("1", "ana")]


def test_an_anonymous_member_that_becomes_known_leaves_under_the_old_row_only() -> None:
    assert _left({("1", "")}, {("1", "ana")}) == [("1", None)]  # at equal times true is greater: ana stays
