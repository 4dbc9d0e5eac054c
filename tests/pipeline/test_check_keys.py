"""`check` on the keys of where events go: right and wrong ones, and what cannot be known without sending."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.pipeline.check import Finding, check
from etl.pipeline.project import open_project
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.pipeline.forwards import write_forwarding
from tests.pipeline.test_forwarding import EMPTY

IMPORT = "  shop-events: {type: amplitude_events, authorization: shop, backfill_days: 0}\n"


@pytest.fixture
def running() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=EMPTY)) as one:
        yield one


def _found(tmp_path: Path, url: str, *changes: tuple[str, str]) -> dict[str, Finding]:
    path = write_forwarding(tmp_path, url)
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return {one.subject: one for one in check(open_project(path))}


def test_right_keys(tmp_path: Path, running: RunningSandbox) -> None:
    found = _found(tmp_path, running.url, (IMPORT, ""))
    assert found["destination project"].note == "4 cohorts listed with its keys"
    for feed in ("ios", "android"):
        note = found[f"feed {feed} of destination workspace"].note
        assert note.startswith("key and secret not refused, but not proven") and "An array of batches is expected" in note
    assert [one.error for one in found.values() if one.error] == []
    assert running.state.tracked.summary()["stored"] == 0


def test_keys_that_an_import_has_tried_are_not_tried_again(tmp_path: Path, running: RunningSandbox) -> None:
    found = _found(tmp_path, running.url)
    assert "destination project" not in found and found["authorization shop"].note == "4 cohorts listed"


def test_a_key_without_its_secret(tmp_path: Path, running: RunningSandbox) -> None:
    """There is no call that proves it and sends nothing, and the output says so; a wrong one may be told all the same."""
    alone = (", secret_key: secret", "")
    note = _found(tmp_path, running.url, (IMPORT, ""), alone)["destination project"].note
    assert note.startswith("API key not proven") and "Request missing required field" in note
    wrong = _found(tmp_path, running.url, (IMPORT, ""), alone, ("api_key: key", "api_key: wrong-key"))["destination project"]
    assert wrong.error is not None and "does not know the API key" in wrong.error and "wrong-key" not in wrong.error
    assert running.state.tracked.summary()["stored"] == 0


def test_wrong_pairs(tmp_path: Path, running: RunningSandbox) -> None:
    wrong = [(IMPORT, ""), ("secret_key: secret,", "secret_key: wrong-secret,"), ("secret-android", "wrong-android")]
    found = _found(tmp_path, running.url, *wrong)
    faults = {one.subject: one.error for one in found.values() if one.error}
    assert sorted(faults) == ["destination project", "feed android of destination workspace"]
    assert "wrong-" not in "".join(faults.values())


def test_offline_nobody_is_asked(tmp_path: Path, running: RunningSandbox) -> None:
    path = write_forwarding(tmp_path, running.url)
    assert not any("destination" in one.subject for one in check(open_project(path), online=False))
    assert running.state.asked()["requests"] == []


def test_a_variable_that_is_not_set(tmp_path: Path, running: RunningSandbox) -> None:
    found = _found(tmp_path, running.url, ("key: key-ios", 'key: "${NO_SUCH_KEY}"'))
    error = found["feed ios of destination workspace"].error
    assert error is not None and "NO_SUCH_KEY is not set" in error
