"""Bad events, throttled ones, a server that fails, and `kill -9`: every good event is there once, every bad one has its reason.

PROFILEMILL_FORWARDED=100000 makes it the number that is promised; PROFILEMILL_KILLS how often the process is killed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from etl.sandbox.faults import parse_faults
from etl.sandbox.people import SampleSpec
from etl.sandbox.server import running_sandbox
from etl.sandbox.state import SandboxOptions
from tests.pipeline.forwards import put, quick_clock, quick_command, rejects_of, webhook, write_forwarding

ROOT = Path(__file__).parents[2]
EVENTS = int(os.environ.get("PROFILEMILL_FORWARDED", "3000"))
KILLS = int(os.environ.get("PROFILEMILL_KILLS", "1"))
SEED = int(os.environ.get("PROFILEMILL_SEED", "11"))
FILES = 4
SHARE = max(1, EVENTS // FILES)
# Few events are few requests: they fail more often, so that each fault is met.
OFTEN = 1 if EVENTS >= 50_000 else 5


def bad(number: int) -> bool:
    return number % 100 == 7


def send_all(folder: Path, jobs: Path, name: str) -> int:
    """Runs the job until it ends by itself, killed now and then while it sends; how often it was killed."""
    random_, killed = random.Random(SEED), 0
    journals = folder / "inbox" / "receipts" / name
    for _ in range(KILLS + 3):
        before = sum(path.stat().st_size for path in journals.glob("*.events.jsonl"))
        process = subprocess.Popen(quick_command(jobs, name), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if killed < KILLS:
            while process.poll() is None and sum(path.stat().st_size for path in journals.glob("*.events.jsonl")) <= before:
                time.sleep(0.002)
            time.sleep(random_.uniform(0, 0.3))
            process.kill()
            killed += process.wait() == -9
            continue
        assert process.wait(timeout=600) == 0
        return killed
    raise AssertionError("the job did not end")


@pytest.mark.parametrize("name", ["to-amplitude", "to-mparticle"])
def test_every_good_event_once_and_every_bad_one_with_its_reason(name: str, tmp_path: Path) -> None:
    route = "httpapi" if name == "to-amplitude" else "mparticle"
    throttled = "throttled" if route == "httpapi" else "429"
    # Each once for certain, whatever chance has of the shares.
    faults = [f"{route}:{fault}:1" for fault in ("503", "stored", throttled)]
    faults += [f"{route}:503:{3 * OFTEN}%", f"{route}:stored:{2 * OFTEN}%", f"{route}:{throttled}:{OFTEN}%"]
    # The sandbox refuses throttled senders for as long as the job waits.
    options = SandboxOptions(sample=SampleSpec(people=2, events=0), faults=parse_faults(faults), clock=quick_clock())
    with running_sandbox(options) as running:
        jobs = write_forwarding(tmp_path, running.url)
        for file in range(FILES):
            numbers = range(file * SHARE, (file + 1) * SHARE)
            wrong = {"external_ids": [{"key": "external_id", "value": "u"}]} if route == "httpapi" else {"sdk": "x" * 5000}
            put(tmp_path, f"{file}.jsonl", [webhook(number, **(wrong if bad(number) else {})) for number in numbers])
        begun = time.monotonic()
        assert send_all(tmp_path, jobs, name) == KILLS
        seconds = time.monotonic() - begun
        if route == "httpapi":
            summary = running.state.tracked.summary()
            stored, again = Counter(summary["insert_ids"]), summary["duplicates"]
        else:
            received = requests.get(running.url + "/_sandbox/mparticle", timeout=60).json()
            stored = Counter(one["batch"]["source_request_id"].removeprefix("nami:") for one in received["taken"])
            again = received["repeated"]
            assert received["dropped"] == []
        statuses = Counter(one["status"] for one in running.state.asked()["requests"])
    total = SHARE * FILES
    assert statuses[503] and statuses[500] and statuses[429] and again, "every fault was met"
    assert stored == {f"evt-{number}": 1 for number in range(total) if not bad(number)}
    rejects = rejects_of(tmp_path)
    assert sorted((row["load"], row["line"]) for row in rejects) == sorted({(row["load"], row["line"]) for row in rejects})
    assert Counter(row["line"] for row in rejects) == Counter(number % SHARE + 1 for number in range(total) if bad(number))
    if route == "httpapi":
        assert {row["reason"] for row in rejects} == {"user_id is too short"}
    else:
        assert {row["reason"].split(":")[0] for row in rejects} == {"events.0.data.custom_attributes.sdk"}
    receipts = [json.loads(path.read_text()) for path in (tmp_path / "inbox" / "receipts" / name).glob("*.jsonl.json")]
    assert sum(one["acknowledged"] for one in receipts) == len(stored)
    print(f"{name}: {total} events, {len(rejects)} rejects, {again} sent again, answers {dict(statuses)}, {seconds:.1f} s")
