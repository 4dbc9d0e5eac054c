"""Nobody forgotten is found in any byte of an inbox or of what was forwarded; nothing is sent again, and nobody comes back."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigurationError
from etl.pipeline.forget import forget
from etl.pipeline.forwarding import run_forwarding
from etl.pipeline.project import Project, open_project
from etl.pipeline.status import status
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.pipeline.forwards import put, rejects_of, webhook, write_forwarding
from tests.pipeline.projects import command, profilemill
from tests.pipeline.test_forget import _everything
from tests.pipeline.test_forwarding import EMPTY, ids
from tests.sources.buckets import BUCKET, S3, running_s3

USER, NAMI, MAIL, TOKEN = "ana-4711-x", "nami-0815-y", "ana4711@shop.example", "token-ana-77"
KEYS = [("user_id", USER), ("user_id", NAMI), ("email", MAIL), ("device_id", TOKEN)]
SEED = int(os.environ.get("PROFILEMILL_SEED", "5"))


@pytest.fixture
def running() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=EMPTY)) as one:
        yield one


def _hers(number: int, **more: Any) -> dict[str, Any]:
    return webhook(number, **{"user_id": NAMI, "external_ids": [{"key": "external_id", "value": USER}], **more})


def _push(number: int, *tokens: str, **identifiers: str) -> dict[str, Any]:
    data = {"identifiers": identifiers, "recipients": [{"device_id": token} for token in tokens]}
    return {"event_id": f"cio-{number}", "object_type": "push", "metric": "sent", "timestamp": 1709338350, "data": data}


def _mail(number: int, address: str, **identifiers: str) -> dict[str, Any]:
    data = {"identifiers": identifiers, "recipient": address}
    return {"event_id": f"cio-{number}", "object_type": "email", "metric": "sent", "timestamp": 1709338350, "data": data}


def _lines() -> list[dict[str, Any] | str]:
    return [webhook(1), _hers(2), "", _hers(3, external_ids=[]), f'{{"broken": "{USER}"', webhook(4), _hers(5, id=None)]


def _fill(folder: Path) -> None:
    (folder / "mail").mkdir(exist_ok=True)
    put(folder, "1.jsonl", _lines())
    packed = "".join(json.dumps(one) + "\n" for one in (_hers(6), webhook(7)))
    (folder / "inbox" / "2.jsonl.gz").write_bytes(gzip.compress(packed.encode()))
    pushes = [
        _push(1, TOKEN, "token-2"),
        _push(2, TOKEN, id="other-99"),
        _push(3, "token-3", id=USER),
        _mail(4, MAIL, id="0"),
        _mail(5, "bo@shop.example", id="u-200"),
    ]
    (folder / "mail" / "1.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pushes))
    for name in ("inbox", "mail"):
        (folder / name / "torn").mkdir()
        (folder / name / "torn" / "0.jsonl").write_text(f'{{"event_id": "x", "data": {{"identifiers": {{"id": "{USER}"')


def _jobs(folder: Path, url: str) -> Path:
    path = write_forwarding(folder, url)
    more = "  mail: {type: customerio, inbox: ./mail, destination: project}\n"
    path.write_text(path.read_text() + more)
    return path


def _places(folder: Path, *tops: str) -> set[str]:
    """The files that hold something of hers, packed or not."""
    files = [path for top in tops for path in (folder / top).rglob("*") if path.is_file()]
    assert len(files) > 3
    needles = [one.encode() for one in (USER, NAMI, MAIL, TOKEN)]
    return {str(path.relative_to(folder)) for path in files if any(needle in _everything(path) for needle in needles)}


def _run(project: Project) -> list[tuple[int, list[str], list[str]]]:
    reports = [run_forwarding(project, name) for name in ("to-amplitude", "to-mparticle", "mail")]
    assert [report.failed for report in reports] == [{}, {}, {}]
    return [(report.acknowledged, report.files, report.changed) for report in reports]


NOTHING = [(0, [], [])] * 3


def test_nothing_is_left_nothing_is_sent_again_and_nobody_comes_back(tmp_path: Path, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    _fill(tmp_path)
    opened = tmp_path / "inbox" / ".9.jsonl.open"
    opened.write_text(json.dumps(_hers(9)) + "\n")
    assert [count for count, _, _ in _run(project)] == [6, 6, 5]
    sent = ids(running)
    before = (tmp_path / "mail/1.jsonl").read_text().splitlines()
    assert len(_places(tmp_path, "lake", "inbox", "mail")) > 8
    report = forget(project, KEYS)
    found = report.forwarded
    assert (found.failed, report.failed) == ({}, {})
    assert found.inboxes == {str(tmp_path / "inbox"): 5, str(tmp_path / "mail"): 3}
    assert (found.files, found.lines, found.torn) == (5, 13, 2)
    assert found.rejects == 2, "the broken line, of both jobs"
    # The open file is its receiver's; in somebody else's push her device is a mention, and it identifies nobody any more.
    assert _places(tmp_path, "lake", "inbox", "mail") == {"inbox/.9.jsonl.open", "mail/1.jsonl"} | {
        path for path in _places(tmp_path, "lake") if path.startswith("lake/landing/forwarding/mail")
    }
    assert (tmp_path / "mail/1.jsonl").read_text().splitlines() == ["", before[1], "", "", before[4]]
    assert not [row for row in rejects_of(tmp_path) if row["line"] == 5]
    assert _run(project) == NOTHING
    assert ids(running) == sent and running.state.tracked.summary()["duplicates"] == 0
    assert [(one.files, one.pending, one.changed) for one in status(project).forwardings] == [(2, 0, []), (2, 0, []), (1, 0, [])]
    again = forget(project, KEYS).forwarded
    assert (again.lines, again.inboxes, again.notes, again.torn) == (0, {}, 0, 0)
    # Her next events are neither landed nor sent.
    opened.rename(tmp_path / "inbox" / "9.jsonl")
    put(tmp_path, "copy.jsonl", _lines())
    report_ = run_forwarding(project, "to-amplitude")
    assert (report_.acknowledged, report_.files, report_.repeated) == (0, ["9.jsonl"], ["copy.jsonl"]), "a copy from before is known too"
    assert report_.skipped == {"forgotten": 1}
    assert ids(running) == sent
    assert [path for path in _places(tmp_path, "lake") if "to-amplitude" in path] == []
    assert forget(project, [("user_id", "never seen")]).forwarded.inboxes == {str(tmp_path / "inbox"): 5}
    assert [path for path in _places(tmp_path, "inbox", "lake") if "mail" not in path] == []


def test_what_is_partly_sent_goes_on_without_the_person(tmp_path: Path) -> None:
    """Events whose key is made of their line keep it, although the file's content is another one now."""
    options = SandboxOptions(sample=EMPTY, faults=parse_faults(["batch:daily"]))
    with running_sandbox(options) as running:
        path = _jobs(tmp_path, running.url)
        path.write_text(path.read_text().replace("authorization: shop}", "authorization: shop, endpoint: batch}", 1))
        project = open_project(path)
        put(tmp_path, "1.jsonl", [webhook(1, id=None), _hers(2, id=None), *(webhook(number, id=None) for number in range(3, 9))])
        first = run_forwarding(project, "to-amplitude")
        assert (first.acknowledged, first.waiting) == (7, {"daily quota": 1})
        quotas = next((tmp_path / "lake/state/quotas").glob("*.json"))
        quotas.write_text(json.dumps(json.loads(quotas.read_text()) | {f"user_id:{USER}": "2099-01-01T00:00:00+00:00"}))
        forget(project, KEYS)
        assert _places(tmp_path, "lake", "inbox") == set()
        held = json.loads(quotas.read_text())
        assert list(held) == ["user_id:user-1"]
        quotas.unlink()
        last = run_forwarding(project, "to-amplitude")
        assert (last.acknowledged, last.before, last.files) == (1, 7, ["1.jsonl"])
        tracked = running.state.tracked.summary()
        assert (tracked["stored"], tracked["duplicates"]) == (8, 0)


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    _fill(tmp_path)
    _run(project)

    def every() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}

    before = every()
    found = forget(project, KEYS, dry_run=True).forwarded
    assert (found.lines, sum(found.inboxes.values()), found.torn) == (13, 8, 2)
    assert every() == before
    done = profilemill(tmp_path, "forget", *(f"{name}={value}" for name, value in KEYS))
    assert done.returncode == 0, done.stderr
    assert re.search(r"lines of forwarded files +13\n", done.stdout) and re.search(rf"inbox {tmp_path}/inbox +5\n", done.stdout), (
        done.stdout
    )
    assert not [one for one in (USER, NAMI, MAIL, TOKEN) if one in done.stdout + done.stderr]


def test_a_kill_is_finished_by_the_next_call(tmp_path: Path, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    _fill(tmp_path)
    put(tmp_path, "3.jsonl", [_hers(number) if number % 50 == 0 else webhook(number) for number in range(100, 20_000)])
    _run(project)
    sent = ids(running)
    chance = random.Random(SEED)
    for _ in range(3):
        process = subprocess.Popen(command("forget", f"user_id={USER}"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / "lake/state/privacy/suppressed.json").is_file():
            time.sleep(0.01)
        time.sleep(chance.uniform(0.05, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    forget(project, KEYS)
    assert {path for path in _places(tmp_path, "lake", "inbox") if "forwarding/mail" not in path} == set()
    assert _run(project) == NOTHING
    assert ids(running) == sent


def test_a_damaged_file_and_an_inbox_that_is_away_are_named(tmp_path: Path, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    _fill(tmp_path)
    torn = gzip.compress("".join(json.dumps(_hers(number)) + "\n" for number in range(50)).encode())[:-20]
    (tmp_path / "inbox" / "0.jsonl.gz").write_bytes(torn)
    shutil.rmtree(tmp_path / "mail")
    found = forget(project, KEYS).forwarded
    assert sorted(found.failed) == [f"{tmp_path}/inbox/0.jsonl.gz", f"{tmp_path}/mail"]
    assert found.inboxes == {f"{tmp_path}/inbox": 5}, "the files behind it are cleaned all the same"
    assert profilemill(tmp_path, "forget", f"user_id={USER}").returncode == 1
    report = run_forwarding(project, "to-amplitude")
    assert list(report.failed) == ["0.jsonl.gz"] and report.acknowledged == 3


def test_names_of_people_are_those_of_the_job_files(tmp_path: Path, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    _fill(tmp_path)
    _run(project)
    with pytest.raises(ConfigurationError, match="use user_id, device_id, email, profile_id"):
        forget(project, [("customer", USER)])


def test_objects_of_a_bucket(tmp_path: Path, running: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_s3(monkeypatch) as s3:
        path = write_forwarding(tmp_path, running.url)
        path.write_text(path.read_text().replace("inbox: ./inbox", f'inbox: "s3://{BUCKET}/nami"'))
        project = open_project(path)
        s3.put("nami/1.jsonl", "".join(json.dumps(one) + "\n" for one in (webhook(1), _hers(2))).encode())
        assert run_forwarding(project, "to-amplitude").acknowledged == 2
        reader, writer = s3.user("s3:ListBucket", "s3:GetObject"), s3.user("s3:ListBucket", "s3:GetObject", "s3:PutObject")
        s3.guard()
        _use(monkeypatch, reader)
        (failed,) = forget(project, KEYS).forwarded.failed.items()
        assert failed[0] == f"s3://{BUCKET}/nami" and "refuses to be written" in failed[1]
        assert _places(tmp_path, "lake") == set()
        assert run_forwarding(project, "to-amplitude").changed == []
        _use(monkeypatch, writer)
        assert forget(project, KEYS).forwarded.inboxes == {f"s3://{BUCKET}/nami": 1}
        assert USER.encode() not in s3_body(s3)
        again = run_forwarding(project, "to-amplitude")
        assert (again.files, again.changed, again.acknowledged) == ([], [], 0)
        other = run_forwarding(project, "to-mparticle")
        assert (other.acknowledged, other.skipped) == (1, {})


def s3_body(s3: S3) -> bytes:
    import fsspec

    content: bytes = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True).cat_file(f"{BUCKET}/nami/1.jsonl")
    return content


def _use(monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
