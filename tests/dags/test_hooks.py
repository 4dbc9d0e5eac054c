"""Airflow connections as keys, and Profilemill's errors as Airflow's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from amplitude_airflow.errors import DelayPolicy, TryAgain, airflow_error
from amplitude_airflow.hooks import AmplitudeHook, afind_keys, find_keys

from etl import errors
from etl.errors import ConfigurationError
from etl.jobs import Jobs
from etl.sandbox.server import RunningSandbox


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def define(**more: Any) -> None:
        content = {"conn_type": "amplitude", "login": "key", "password": "secret"} | more
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_AMPLITUDE", json.dumps(content))

    return define


JOBS = Jobs.model_validate(
    {
        "lake": "/lake",
        "authorizations": {"shop": {"connection": "shop_amplitude"}, "plain": {"api_key": "a", "secret_key": "b"}},
    }
)


def test_keys_and_region_come_from_the_connection(connection: Callable[..., None]) -> None:
    connection(extra={"region": "eu", "base_url": "http://127.0.0.1:1"})
    keys = find_keys("shop", JOBS)
    assert (keys.api_key, keys.secret_key.reveal(), keys.region, keys.base_url) == (
        "key",
        "secret",
        "eu",
        "http://127.0.0.1:1",
    )


def test_triggers_find_the_same_keys_without_blocking(connection: Callable[..., None]) -> None:
    connection()
    assert asyncio.run(afind_keys("shop", JOBS)) == find_keys("shop", JOBS)
    assert asyncio.run(afind_keys("plain", JOBS)).api_key == "a"


def test_a_missing_connection_says_where_to_add_it() -> None:
    for find in (find_keys, lambda name, jobs: asyncio.run(afind_keys(name, jobs))):
        with pytest.raises(ConfigurationError) as caught:
            find("shop", JOBS)
        assert str(caught.value) == (
            "there is no Airflow connection 'shop_amplitude'\n"
            "  Next: add it at Admin > Connections with the type Amplitude, or set AIRFLOW_CONN_SHOP_AMPLITUDE"
        )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"password": None}, "the Airflow connection has no API key or no secret key (connection shop_amplitude)"),
        ({"extra": {"region": "mars"}}, "the Airflow connection names an unknown region (connection shop_amplitude)"),
    ],
)
def test_an_incomplete_connection(connection: Callable[..., None], content: dict[str, Any], what: str) -> None:
    connection(**content)
    with pytest.raises(ConfigurationError) as caught:
        find_keys("shop", JOBS)
    assert str(caught.value).startswith(what)


def test_the_connection_can_be_tested(connection: Callable[..., None], sandbox: RunningSandbox) -> None:
    connection(extra={"base_url": sandbox.url})
    assert AmplitudeHook("shop_amplitude").test_connection() == (True, "Amplitude answered: 4 cohorts")
    connection(extra={"base_url": sandbox.url}, password="wrong")
    good, text = AmplitudeHook("shop_amplitude").test_connection()
    assert not good and text.startswith("Amplitude refused the credentials")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (errors.ConfigurationError("x"), False),
        (errors.CredentialsError("x"), False),
        (errors.MappingError("x"), False),
        (errors.QuotaExhausted("x"), False),
        (errors.SnapshotRefused("x"), False),
        (errors.BadRequest("x"), False),
        (errors.FatalError("x"), False),
        (errors.ServerError("x"), True),
        (errors.Throttled("x", delay=90.0), True),
        (errors.DamagedDownload("x"), True),
        (errors.RequestExpired("x"), True),
        (errors.DeadlineExceeded("x"), True),
        (errors.LakeConflict("x"), True),
    ],
)
def test_which_errors_are_tried_again(error: errors.ProfilemillError, again: bool) -> None:
    found = airflow_error(error, job="shop-events")
    assert isinstance(found, TryAgain if again else AirflowFailException)
    assert str(found) == "x\n  Job: shop-events"


def test_a_task_fails_with_what_where_and_what_next() -> None:
    error = errors.QuotaExhausted(
        "the monthly quota is used up",
        until=datetime(2026, 4, 1, tzinfo=UTC),
        where={"cohort": "abc"},
        next_step="wait",
    )
    assert str(airflow_error(error, job="shop-cohorts")) == (
        "the monthly quota is used up (cohort abc)\n  Next: wait\n  Not before: 2026-04-01 00:00 UTC\n  Job: shop-cohorts"
    )


def test_the_delay_that_a_server_asks_for_is_the_delay_of_the_retry() -> None:
    decide = DelayPolicy().evaluate
    assert decide(TryAgain("x", 90.0), 1, 3).retry_delay == timedelta(seconds=90)
    assert decide(TryAgain("x"), 1, 3).retry_delay is None
    assert decide(ValueError("x"), 1, 3).retry_delay is None


def test_the_engine_does_not_import_airflow() -> None:
    root = Path(__file__).parents[2]
    texts = {file: file.read_text().splitlines() for file in (root / "etl").rglob("*.py")}
    assert [file for file, lines in texts.items() if any(re.match(r"\s*(from|import) airflow\b", line) for line in lines)] == []
