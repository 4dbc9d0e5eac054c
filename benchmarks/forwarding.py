"""An inbox full of events through a server that fails, at the real waiting times, killed once: what has become of each event.

    python benchmarks/forwarding.py [--events 100000] [--to amplitude mparticle] [--kills 1] [--people 1000] [--keep result.json]

1 % of the events are bad, 1 % are throttled (Amplitude: the user and the device of each are refused for 30 seconds; mParticle, which
throttles requests: 1 % of these), 5 % of the requests are answered by 5xx, 2 of the 5 after the events had been taken. The sandbox,
and `profilemill run`, which is killed by `kill -9`, are processes of their own. Exit code 1 where an event is lost, there twice, or not
rejected with its reason.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etl.engines.local import connect, rows
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.lake.tables import files_of, relation

FILES = 4
PROFILEMILL = str(Path(sys.executable).with_name("profilemill"))
JOBS = """
lake: ./lake
authorizations: {{shop: {{api_key: key, base_url: "{url}"}}}}
destinations:
  amplitude: {{type: amplitude, authorization: shop}}
  mparticle: {{type: mparticle, base_url: "{url}", feeds: {{default: {{key: key, secret: secret}}}}}}
jobs:
  amplitude: {{type: nami, inbox: ./inbox, destination: amplitude}}
  mparticle: {{type: nami, inbox: ./inbox, destination: mparticle}}
"""
FAULTS = {
    "amplitude": ("httpapi:503:3%", "httpapi:stored:2%", "httpapi:throttled:1%"),
    "mparticle": ("mparticle:503:3%", "mparticle:stored:2%", "mparticle:429:1%"),
}
REASONS = {"amplitude": "user_id is too short", "mparticle": "events.0.data.custom_attributes.sdk"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--people", type=int, default=1000)
    options.add_argument("--kills", type=int, default=1)
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--to", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    options.add_argument("--keep", type=Path, help="write the result as JSON")
    given = options.parse_args()
    found = {}
    for name in given.to:
        with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-") as folder:
            found[name] = measure(Path(folder), name, given.events, given.people, given.kills, random.Random(given.seed))
    show(found)
    if given.keep:
        given.keep.write_text(json.dumps(found, indent=1))
    sys.exit(any(one["lost"] or one["twice"] or one["unexplained"] for one in found.values()))


def measure(folder: Path, name: str, events: int, people: int, kills: int, chance: random.Random) -> dict[str, Any]:
    """Sends everything to one destination; counts of what became of it."""
    with sandbox(FAULTS[name]) as url:
        (folder / "jobs.yaml").write_text(JOBS.format(url=url))
        share = -(-events // FILES)
        (folder / "inbox").mkdir()
        for file in range(FILES):
            numbers = range(file * share, min(events, (file + 1) * share))
            lines = (json.dumps(webhook(number, people, name)) + "\n" for number in numbers)
            (folder / "inbox" / f"{file}.jsonl").write_text("".join(lines))
        begun = time.monotonic()
        killed, runs = send_all(folder, name, kills, events, chance)
        seconds = time.monotonic() - begun
        stored, again = taken(url, name)
        asked = Counter(one["status"] for one in fetch(f"{url}/_sandbox/requests")["requests"])
    good = {f"evt-{number}" for number in range(events) if not is_bad(number)}
    rejected = [(int(row["member"][0]) * share + row["line"] - 1, row["reason"]) for row in rejects(folder)]
    explained = {number for number, reason in rejected if is_bad(number) and str(reason).startswith(REASONS[name])}
    return {
        "events": events,
        "once": sum(1 for key in good if stored[key] == 1),
        "lost": sum(1 for key in good if not stored[key]),
        "twice": sum(1 for count in stored.values() if count > 1) + (len(rejected) - len({number for number, _ in rejected})),
        "rejected": len(explained),
        "unexplained": (events - len(good)) - len(explained) + sum(1 for number, _ in rejected if not is_bad(number)),
        "sent_again": again,
        "requests": sum(asked.values()),
        "statuses": {str(status): count for status, count in sorted(asked.items())},
        "kills": killed,
        "runs": runs,
        "seconds": round(seconds, 1),
    }


def is_bad(number: int) -> bool:
    return number % 100 == 7


def webhook(number: int, people: int, name: str) -> dict[str, Any]:
    """A renewal; a bad one has an id that is too short, or an attribute that is too long."""
    user = "u" if is_bad(number) and name == "amplitude" else f"user-{number % people}"
    found = {
        "id": f"evt-{number}",
        "event_type": "user.subscription.renewed",
        "event_platform": "apple",
        "created_date": "2024-03-02T00:12:30.227760+00:00",
        "user_id": f"nami-{number % people}",
        "external_ids": [{"key": "external_id", "type": "uuid", "value": user}],
        "active_entitlements": [{"entitlement_ref_id": "premium", "sku_ref_id": "sku_a"}],
        "customer_journey_state": {"former_subscriber": False, "in_trial_period": True},
    }
    return found | ({"sdk": "x" * 5000} if is_bad(number) and name == "mparticle" else {})


def send_all(folder: Path, name: str, kills: int, events: int, chance: random.Random) -> tuple[int, int]:
    """Runs the job until nothing is left, killed at times of its own; how often it was killed, and how often it was run."""
    journals = folder / "inbox" / "receipts" / name
    killed = 0
    for run in range(1, kills + 20):
        command = [PROFILEMILL, "run", name, "--json", "--max-rejects", "100%"]
        with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=errors)
            if killed < kills:
                # About when its share of the events is settled, in the middle of whatever it does then.
                wanted = events * 10 * (killed + 1) / (kills + 1)
                while process.poll() is None and sum(path.stat().st_size for path in journals.glob("*.events.jsonl")) < wanted:
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 0.5))
                process.kill()
                killed += process.wait() == -9
                continue
            code = process.wait()
        if code not in (0, 1):
            sys.exit((folder / "errors").read_text())
        if not code and not json.loads((folder / "output").read_text())["forwarded"][0]["open"]:
            return killed, run
    sys.exit("the job does not come to an end")


def taken(url: str, name: str) -> tuple[Counter[str], int]:
    """How often each event is there, and how many were sent again."""
    if name == "amplitude":
        found = fetch(f"{url}/_sandbox/tracked")
        return Counter(found["insert_ids"]), found["duplicates"]
    found = fetch(f"{url}/_sandbox/mparticle")
    return Counter(one["batch"]["source_request_id"].removeprefix("nami:") for one in found["taken"]), found["repeated"]


def rejects(folder: Path) -> list[dict[str, Any]]:
    lake = Lake(folder / "lake")
    attempts = {load.attempt for load in current_loads(lake, forwarded=True).values()}
    source = relation(lake.rejects, (file.path for file in files_of(lake.rejects)))
    connection = connect()
    try:
        return [row for row in rows(connection, f"SELECT * FROM {source}") if row["_attempt"] in attempts] if source else []
    finally:
        connection.close()


@contextmanager
def sandbox(faults: tuple[str, ...]) -> Iterator[str]:
    command = [PROFILEMILL, "sandbox", "--port", "0", *(word for fault in faults for word in ("--fault", fault))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield next(word.rstrip(";,") for line in process.stdout for word in line.split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.wait()


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return json.load(answer)


def show(found: dict[str, dict[str, Any]]) -> None:
    heads = ("to", "events", "once", "lost", "twice", "rejected", "no reason", "sent again", "requests", "kills", "wall s")
    names = ("events", "once", "lost", "twice", "rejected", "unexplained", "sent_again", "requests", "kills", "seconds")
    print("".join(f"{head:>11}" for head in heads))
    for to, one in found.items():
        print(f"{to:>11}" + "".join(f"{one[name]:>11,}" for name in names))
        print(f"{'':>11}  answers: " + ", ".join(f"{count:,} x {status}" for status, count in one["statuses"].items()))


if __name__ == "__main__":
    main()
