"""Which window a run has, and what of a report passes through XCom."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from amplitude_airflow.tasks import counts_of, sum_counts, window_from, window_of

from etl.errors import ConfigurationError
from etl.reports import FieldCounts, ImportReport

START, END = datetime(2026, 3, 1, 7, tzinfo=UTC), datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("params", "run_type", "window"),
    [
        ({}, "scheduled", None),
        ({"from": None, "to": None}, "manual", None),
        ({"from": "", "to": ""}, "manual", None),
        ({}, "backfill", "2026-03-01T07..2026-03-01T08"),
        ({}, DagRunType.BACKFILL, "2026-03-01T07..2026-03-01T08"),
        ({"from": "2022-11-21T00", "to": "2022-11-22T00"}, "manual", "2022-11-21T00..2022-11-22T00"),
        ({"from": "2022-11-21", "to": "2022-11-22"}, "backfill", "2022-11-21T00..2022-11-22T00"),
    ],
)
def test_the_window_of_a_run(params: dict[str, Any], run_type: DagRunType | str, window: str | None) -> None:
    """A scheduled run takes what is missing, whatever its hour: the lake is the state."""
    found = window_of(params, run_type, START, END)
    assert (found and str(found)) == window


def test_a_window_without_an_end_reaches_to_the_hour_that_is_running() -> None:
    found = window_of({"from": "2026-01-01T00"}, "manual", None, None)
    assert found is not None
    assert found.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert 0 <= (datetime.now(UTC) - found.end).total_seconds() < 3700


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"to": "2022-11-22T00"}, "`to` is given without `from`: 2022-11-22T00\n  Next: fill in both, or neither"),
        ({"from": "2022-11-22", "to": "2022-11-22"}, "the window holds no hour"),
        ({"from": "2022-11-99", "to": "2022-11-22"}, "this is not a UTC hour: 2022-11-99"),
    ],
)
def test_a_wrong_window_says_so(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        window_of(params, "manual", None, None)
    assert str(caught.value).startswith(text)


def test_the_name_of_a_window_is_the_window() -> None:
    assert str(window_from("2022-11-21T00..2022-11-22T00")) == "2022-11-21T00..2022-11-22T00"


def test_only_counts_pass_through_xcom() -> None:
    """No values of records, not even the samples of misfits."""
    report = ImportReport(
        "shop-events",
        loaded=["a", "b"],
        failed={"c": "damaged"},
        rows=5,
        fields={"age": FieldCounts(values=2, misfits=3, samples=["forty"])},
    )
    counts = counts_of(report)
    assert (counts["loaded"], counts["rows"], counts["misfits"]) == (2, 5, 3)
    assert "forty" not in json.dumps(counts) and "damaged" not in json.dumps(counts)
    assert sum_counts([counts, counts])["rows"] == 10
