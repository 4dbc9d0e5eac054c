"""Forwarding jobs whose inbox is a bucket: an S3 server on loopback, the command line, and what becomes of each object."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, CredentialsError, NetworkError
from etl.jobs import load_jobs
from etl.pipeline.check import check
from etl.pipeline.forwarding import plan_forwarding, run_forwarding
from etl.pipeline.project import open_project
from etl.pipeline.status import status
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.clients.service import FakeTime
from tests.pipeline.forwards import rejects_of, webhook, write_forwarding
from tests.pipeline.projects import profilemill
from tests.pipeline.test_forwarding import EMPTY, ids, user
from tests.sources.buckets import BUCKET, S3, running_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with running_s3(monkeypatch) as running:
        yield running


@pytest.fixture
def running() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=EMPTY)) as one:
        yield one


def _jobs(folder: Path, url: str, change: Callable[[str], str] = str) -> Path:
    path = write_forwarding(folder, url)
    path.write_text(change(path.read_text().replace("inbox: ./inbox", f'inbox: "s3://{BUCKET}/nami/"')))
    return path


def _lines(*webhooks: object) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in webhooks).encode()


def test_each_object_is_sent_once_by_each_job(tmp_path: Path, s3: S3, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    s3.put("nami/2026/11/25/a.jsonl", _lines(*(webhook(number) for number in range(10)), "no webhook"))
    s3.put("nami/b.jsonl.gz", gzip.compress(_lines(webhook(10))))
    s3.put("nami/copy.jsonl", _lines(*(webhook(number) for number in range(10)), "no webhook"))
    assert [one.name for one in plan_forwarding(project, "to-amplitude")] == ["2026/11/25/a.jsonl", "b.jsonl.gz", "copy.jsonl"]
    first = run_forwarding(project, "to-amplitude")
    assert (first.files, first.repeated) == (["2026/11/25/a.jsonl", "b.jsonl.gz"], ["copy.jsonl"])
    assert (first.acknowledged, first.rejects, first.requests) == (11, 1, 1)
    assert [(row["member"], row["code"]) for row in rejects_of(tmp_path)] == [("2026%2F11%2F25%2Fa.jsonl", "not_an_object")]
    again = run_forwarding(project, "to-amplitude")
    assert (again.files, again.acknowledged, again.failed) == ([], 0, {})
    assert run_forwarding(project, "to-mparticle").acknowledged == 11
    assert sorted(ids(running)) == sorted(f"evt-{number}" for number in range(11))
    assert sorted(one["Key"] for one in s3.client.list_objects_v2(Bucket=BUCKET)["Contents"]) == [
        "nami/2026/11/25/a.jsonl",
        "nami/b.jsonl.gz",
        "nami/copy.jsonl",
    ], "nothing is written to the bucket"


def test_an_object_that_is_replaced_after_it_was_sent_is_named(tmp_path: Path, s3: S3, running: RunningSandbox) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    s3.put("nami/a.jsonl", _lines(webhook(1)))
    run_forwarding(project, "to-amplitude")
    s3.put("nami/a.jsonl", _lines(webhook(2)))
    report = run_forwarding(project, "to-amplitude")
    assert (report.files, report.changed, report.acknowledged) == ([], ["a.jsonl"], 0)
    (found,) = (one for one in status(project).forwardings if one.job == "to-amplitude")
    assert (found.files, found.pending, found.changed) == (1, 0, ["a.jsonl"])
    assert "written anew after they were sent" in profilemill(tmp_path, "status").stdout


def test_what_stays_open_is_not_downloaded_again(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    time = FakeTime()
    options = SandboxOptions(sample=EMPTY, clock=time.clock, faults=parse_faults(["batch:daily"]))
    with running_sandbox(options) as running:
        jobs = _jobs(tmp_path, running.url, lambda text: text.replace("authorization: shop}", "authorization: shop, endpoint: batch}", 1))
        project = open_project(jobs, time.clock)
        s3.put("nami/a.jsonl", _lines(*(webhook(number, external_ids=user(number % 2)) for number in range(6))))
        first = run_forwarding(project, "to-amplitude")
        assert (first.acknowledged, first.waiting, first.open) == (3, {"daily quota": 3}, ["a.jsonl"])
        (planned,) = plan_forwarding(project, "to-amplitude")
        assert (planned.name, planned.settled) == ("a.jsonl", 3)
        lister = s3.user("s3:ListBucket")
        s3.guard()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", lister[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", lister[1])
        time.moment += timedelta(hours=25)
        last = run_forwarding(project, "to-amplitude")
        assert (last.acknowledged, last.before, last.files) == (3, 3, ["a.jsonl"])
        assert sorted(ids(running)) == sorted(f"evt-{number}" for number in range(6))


def test_the_command_says_what_it_found(tmp_path: Path, s3: S3, running: RunningSandbox) -> None:
    _jobs(tmp_path, running.url)
    s3.put("nami/a.jsonl", _lines(webhook(1), webhook(2)))
    checked = profilemill(tmp_path, "check")
    assert checked.returncode == 0, checked.stdout
    assert f"ok    inbox s3://{BUCKET}/nami of to-amplitude  (1 files waiting)" in checked.stdout
    assert f"inbox s3://{BUCKET}" not in profilemill(tmp_path, "check", "--offline").stdout
    shown = profilemill(tmp_path, "run", "to-amplitude", "to-mparticle")
    assert shown.returncode == 0 and shown.stdout.count("a.jsonl") == 2, shown.stdout + shown.stderr
    assert "1 files sent, the newest a.jsonl; 0 waiting in the inbox" in profilemill(tmp_path, "status").stdout


def test_faults_of_the_bucket(tmp_path: Path, s3: S3, running: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    project = open_project(_jobs(tmp_path, running.url))
    s3.put("nami/a.jsonl", _lines(webhook(1)))
    nobody = s3.user("s3:PutObject")
    s3.guard()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", nobody[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", nobody[1])
    with pytest.raises(CredentialsError, match="refuses to be listed"):
        run_forwarding(project, "to-amplitude")
    faults = [one for one in check(project) if one.error]
    assert [one.subject for one in faults] == [f"inbox s3://{BUCKET}/nami of {job}" for job in ("to-amplitude", "to-mparticle")]
    told = profilemill(tmp_path, "run", "to-amplitude")
    assert told.returncode == 2 and "check the keys in the environment" in told.stderr and nobody[1] not in told.stderr + told.stdout
    assert "refuses to be listed" in profilemill(tmp_path, "status").stdout
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkError):
        run_forwarding(project, "to-amplitude")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://AKIA0815:verysecret@events/nami", "holds no keys"),
        ("s3://events/nami?secret=verysecret", "holds no keys"),
        ("s3://", "names no bucket"),
        ("ftp://events/nami", "cannot be at ftp://"),
    ],
)
def test_what_is_no_inbox(url: str, words: str, tmp_path: Path) -> None:
    path = write_forwarding(tmp_path, "http://127.0.0.1:1")
    path.write_text(path.read_text().replace("inbox: ./inbox", f'inbox: "{url}"'))
    with pytest.raises(ConfigurationError, match=words) as told:
        load_jobs(path)
    assert "verysecret" not in str(told.value) and "jobs.to-amplitude.inbox" in str(told.value)
