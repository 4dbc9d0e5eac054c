"""What `profilemill cohorts` tells: usage, and what the next run asks for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import requests

from etl.pipeline.cohorts import plan_cohorts, request_cohort
from etl.pipeline.quota import quota_of
from etl.settings import Clock
from tests.pipeline.projects import profilemill
from tests.pipeline.shops import FIRST, Shop, running_shop


def _plan(shop: Shop) -> dict[str, tuple[str, str]]:
    (found,) = quota_of(shop.project)
    return {row.id: (row.action, row.reason) for row in found.cohorts}


def test_every_cohort_with_what_becomes_of_it(shop: Shop) -> None:
    shop.configure(cohorts=["new", "same", "moved", "asked", "gone"])
    for name in ("same", "moved", "gone"):
        shop.cohort(name, ["1"], FIRST)
    shop.cohort("asked", ["1"], FIRST)
    shop.cohort("new", ["1"], FIRST)
    shop.run(wanted=["same", "moved", "gone"])
    shop.cohort("moved", ["1"], FIRST + 10)
    shop.cohort("other", ["1"], FIRST)
    (asked,) = plan_cohorts(shop.project, "shop-cohorts", ["asked"])
    request_cohort(shop.project, "shop-cohorts", asked)
    requests.post(f"{shop.url}/_sandbox/cohorts/gone", json={"delete": True}, timeout=10)
    shop.configure(cohorts=["new", "same", "moved", "asked"])
    assert _plan(shop) == {
        "new": ("request", "not loaded yet"),
        "moved": ("request", "computed anew"),
        "asked": ("adopt", "a request for it is under way"),
        "same": ("skip", "not computed again since it was loaded"),
        "other": ("none", "not chosen by the job"),
        "gone": ("none", "not listed any more: its members stay as they are"),
    }
    (found,) = quota_of(shop.project)
    assert (found.used, found.limit, found.left, found.requests) == (4, 500, 496, 2)
    same = next(row for row in found.cohorts if row.id == "same")
    assert (same.size, same.last_computed, same.last_loaded) == (1, *[datetime.fromtimestamp(FIRST, UTC)] * 2)
    made = shop.requests_made()
    assert shop.run().failed == {}
    assert shop.requests_made() == made + found.requests


def test_what_does_not_fit_into_the_month_waits_and_comes_first_after_it(tmp_path: Path) -> None:
    moment = [datetime(2024, 3, 20, 12, tzinfo=UTC)]
    with running_shop(tmp_path, clock=Clock(lambda: moment[0], lambda seconds: None), monthly_quota=2) as shop:
        for name in ("a", "b", "c"):
            shop.cohort(name, ["1"], FIRST)
        assert _plan(shop)["c"] == ("wait", "not loaded yet, but the month's requests are used up until 2024-04-01")
        assert list(shop.run().failed) == ["c (c)"]
        (found,) = quota_of(shop.project)
        assert (found.used, found.left, found.requests, found.at_most) == (2, 0, 0, 3 * 12)
        moment[0] = datetime(2024, 4, 1, 1, tzinfo=UTC)
        for name in ("a", "b", "c"):
            shop.cohort(name, ["1"], FIRST + 10)
        assert [id_ for id_, (action, _) in _plan(shop).items() if action == "request"] == ["c", "a"]
        assert list(shop.run().failed) == ["b (b)"]


def test_the_command(shop: Shop) -> None:
    shop.cohort("c1", ["1", "2"], FIRST, name="Weekly [actives]")
    folder = shop.project.path.parent
    shown = profilemill(folder, "cohorts")
    assert "shop-cohorts (shop): 0 of 500 requests used this month, counted anew" in shown.stdout, shown.stderr
    assert [line.split() for line in shown.stdout.splitlines() if line.startswith("Weekly")] == [
        ["Weekly", "[actives]", "c1", "2", "2023-11-14", "22:13", "request", "not", "loaded", "yet"]
    ]
    assert "the next run makes 1 request, 499 are left after it" in shown.stdout
    (content,) = json.loads(profilemill(folder, "cohorts", "shop-cohorts", "--json").stdout)
    assert (content["left"], content["cohorts"][0]["action"]) == (500, "request")
    assert requests.get(f"{shop.url}/_sandbox/requests", timeout=10).json()["routes"].get("cohort_request") is None
    assert not (folder / "lake").exists()
