"""Cohort snapshots: members, leavers, and everything that must not be taken for leaving."""

from __future__ import annotations

import dataclasses

import pytest
import requests

from etl.errors import ConfigurationError
from etl.pipeline.cohorts import plan_cohorts, request_cohort
from tests.pipeline.shops import FIRST, Shop


def test_leavers_become_false_and_return(shop: Shop) -> None:
    shop.cohort("c1", ["1", "2"], FIRST)
    shop.run()
    shop.cohort("c1", ["2", "3"], FIRST + 10)
    assert shop.run().exits == 1
    assert [shop.membership(member) for member in "123"] == [{"c1": False}, {"c1": True}, {"c1": True}]
    assert shop.membership("1", "names") == {"c1": False}
    shop.cohort("c1", ["1", "2", "3"], FIRST + 20)
    shop.run()
    assert shop.membership("1") == {"c1": True}


def test_a_cohort_not_computed_again_costs_no_request(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST)
    shop.run()
    made = shop.requests_made()
    report = shop.run()
    assert shop.requests_made() == made
    assert report.skipped == ["c1 (c1): not computed again since it was loaded"]
    forced = shop.run(force=True)
    assert (shop.requests_made(), forced.replaced) == (made + 1, [f"amplitude_cohorts/shop/c1/{FIRST}"])
    assert shop.membership("1") == {"c1": True}


def test_a_known_request_is_adopted(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST)
    (planned,) = plan_cohorts(shop.project, "shop-cohorts")
    request_id = request_cohort(shop.project, "shop-cohorts", planned)
    (again,) = plan_cohorts(shop.project, "shop-cohorts")
    assert (again.action, again.request_id) == ("adopt", request_id)
    shop.run()
    assert shop.requests_made() == 1


@pytest.mark.parametrize(("members", "size", "text"), [([], 2, "is empty"), (["1"], 2, "is short")])
def test_a_file_that_says_too_little_is_no_information(shop: Shop, members: list[str], size: int, text: str) -> None:
    shop.cohort("c1", ["1", "2"], FIRST)
    shop.run()
    shop.cohort("c1", members, FIRST + 10, size=size)
    report = shop.run()
    assert f"the cohort file {text}" in report.failed["c1 (c1)"]
    assert shop.membership("2") == {"c1": True}


def test_too_many_exits_need_a_word(shop: Shop) -> None:
    everybody = [str(number) for number in range(1, 21)]
    shop.cohort("c1", everybody, FIRST)
    shop.run()
    shop.cohort("c1", everybody[:9], FIRST + 10)
    report = shop.run()
    assert "11 of 20 left, allowed are 50%" in report.failed["c1 (c1)"]
    assert "--accept-exits c1" in report.failed["c1 (c1)"]
    assert shop.membership("20") == {"c1": True}
    accepted = shop.run(accept_exits=["c1"])
    assert (accepted.failed, accepted.exits) == ({}, 11)
    assert shop.membership("20") == {"c1": False}


def test_an_empty_cohort_is_believed_when_its_size_says_so(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST)
    shop.run()
    shop.cohort("c1", [], FIRST + 10)
    assert shop.run().failed == {}
    assert shop.membership("1") == {"c1": False}


def test_a_rename_sets_the_old_name_to_false(shop: Shop) -> None:
    shop.cohort("c1", ["1", "2"], FIRST, name="Old")
    shop.run()
    shop.cohort("c1", ["2"], FIRST + 10, name="New")
    shop.run()
    assert shop.membership("1", "names") == {"Old": False}
    assert shop.membership("2", "names") == {"Old": False, "New": True}
    assert [shop.membership(member) for member in "12"] == [{"c1": False}, {"c1": True}]


def test_two_cohorts_with_one_name(shop: Shop) -> None:
    shop.cohort("c1", ["1", "2"], FIRST, name="Same")
    shop.cohort("c2", ["1"], FIRST, name="Same")
    shop.run()
    shop.cohort("c1", [], FIRST + 10, name="Same")
    shop.run()
    assert shop.membership("1", "names") == {"Same": True}, "c2 still holds the member"
    assert shop.membership("2", "names") == {"Same": False}
    assert shop.membership("1") == {"c1": False, "c2": True}


def test_an_older_snapshot_arriving_late_derives_the_next_one_anew(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST + 20)
    shop.run()
    shop.cohort("c1", ["1", "2"], FIRST)
    shop.run()
    assert shop.membership("2") == {"c1": False}
    assert shop.membership("1") == {"c1": True}


def test_a_deleted_or_deselected_cohort_is_no_information(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST)
    shop.run()
    requests.post(f"{shop.url}/_sandbox/cohorts/c1", json={"delete": True}, timeout=10)
    shop.cohort("c2", ["1"], FIRST)
    shop.run()
    assert shop.membership("1") == {"c1": True, "c2": True}


def test_without_the_two_options_cohorts_are_only_added(shop: Shop) -> None:
    jobs = shop.project.jobs
    job = jobs.jobs["shop-cohorts"].model_copy(update={"cohort_names_field": ""})
    shop.project = dataclasses.replace(shop.project, jobs=jobs.model_copy(update={"jobs": {**jobs.jobs, "shop-cohorts": job}}))
    shop.cohort("c1", ["1", "2"], FIRST)
    shop.run()
    shop.cohort("c1", ["1"], FIRST + 10)
    assert shop.run().exits == 0
    assert shop.membership("2") == {"c1": True}


def test_an_unknown_cohort_names_the_known_ones(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST, name="Weekly actives")
    with pytest.raises(ConfigurationError, match="there is no cohort 'Weekly active'") as caught:
        shop.run(wanted=["Weekly active"])
    assert caught.value.next_step == "did you mean 'Weekly actives'?"


def test_a_short_file_is_asked_for_anew(shop: Shop) -> None:
    shop.cohort("c1", ["1"], FIRST, size=2)
    assert "is short" in shop.run().failed["c1 (c1)"]
    made = shop.requests_made()
    shop.cohort("c1", ["1", "2"], FIRST)
    assert shop.run().failed == {}
    assert shop.requests_made() == made + 1


def test_accepted_exits_stay_accepted(shop: Shop) -> None:
    everybody = [str(number) for number in range(1, 21)]
    shop.cohort("c1", everybody, FIRST)
    shop.run()
    shop.cohort("c1", everybody[:5], FIRST + 10)
    shop.run(accept_exits=["c1"])
    assert shop.run(force=True).failed == {}
    assert shop.membership("20") == {"c1": False}
