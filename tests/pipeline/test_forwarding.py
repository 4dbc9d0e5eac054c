"""Forwarding jobs as users see them: each file once, what is left and why, and the way back through the export."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.pipeline.events import run_events
from etl.pipeline.forget import forget
from etl.pipeline.forwarding import plan_forwarding, run_forwarding
from etl.pipeline.profiles import build
from etl.pipeline.project import Project, open_project
from etl.pipeline.status import status
from etl.pipeline.upkeep import compact, rebuild_from_landing
from etl.profiles.published import find_profiles, read_profiles
from etl.runs import Options, check_options
from etl.sandbox.faults import parse_faults
from etl.sandbox.people import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.sandbox.state import SandboxOptions
from etl.windows import Window, floor_hour, parse_hour
from tests.clients.service import FakeTime
from tests.pipeline.forwards import put, rejects_of, webhook, write_forwarding
from tests.pipeline.projects import profilemill

EMPTY = SampleSpec(people=2, events=0)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def start(tmp_path: Path, time: FakeTime) -> Iterator[Callable[..., tuple[Project, RunningSandbox]]]:
    """`start("batch:daily")`: a project whose sandbox has these faults; both have the test's clock."""
    with ExitStack() as stack:

        def started(*faults: str, jobs: Callable[[str], str] = str) -> tuple[Project, RunningSandbox]:
            options = SandboxOptions(sample=EMPTY, clock=time.clock, faults=parse_faults(faults))
            running = stack.enter_context(running_sandbox(options))
            path = write_forwarding(tmp_path, running.url)
            path.write_text(jobs(path.read_text()))
            return open_project(path, time.clock), running

        yield started


def ids(running: RunningSandbox) -> list[str]:
    found: list[str] = running.state.tracked.summary()["insert_ids"]
    return found


def user(number: int) -> list[dict[str, str]]:
    return [{"key": "external_id", "value": f"user-{number}"}]


def test_what_is_forwarded_can_be_exported_and_imported_again(
    start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path, time: FakeTime
) -> None:
    """Nami's webhooks to Amplitude, Amplitude's export to profiles: the round trip."""
    project, _ = start()
    put(tmp_path, "1.jsonl", [webhook(number, external_ids=user(number % 5)) for number in range(40)])
    assert run_forwarding(project, "to-amplitude").acknowledged == 40
    time.moment += timedelta(hours=6)
    report = run_events(project, "shop-events", None)
    assert report.rows == 0, "the first run begins where it stands"
    hour = floor_hour(time.moment) - timedelta(hours=6)
    report = run_events(project, "shop-events", Window(hour, hour + timedelta(hours=1)))
    assert (report.rows, report.rejects) == (40, 0)
    build(project)
    (profile,) = find_profiles(project.lake, "amplitude_user_id", "user-3")
    assert profile["amplitude_events"] == {"user.subscription.renewed": 8}
    assert profile["amplitude_user_properties"]["namiml_active_skus"] == "sku_a"
    assert profile["amplitude_user_properties"]["namiml_in_trial_period"] == "true"


def test_each_file_is_sent_once_by_each_job(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path) -> None:
    project, running = start()
    put(tmp_path, "1.jsonl", [webhook(number) for number in range(10)])
    (tmp_path / "inbox" / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps(webhook(10)).encode()))
    put(tmp_path, ".3.jsonl.open", [webhook(11)])
    assert [one.name for one in plan_forwarding(project, "to-amplitude")] == ["1.jsonl", "2.jsonl.gz"]
    first = run_forwarding(project, "to-amplitude")
    assert (first.files, first.acknowledged, first.events) == (["1.jsonl", "2.jsonl.gz"], 11, 11)
    assert first.requests == 1, "small files share a request"
    put(tmp_path, "4.jsonl", [webhook(number) for number in range(10)])
    again = run_forwarding(project, "to-amplitude")
    assert (again.files, again.repeated, again.acknowledged) == ([], ["4.jsonl"], 0), "the same content under another name"
    assert len(ids(running)) == 11 and running.state.tracked.summary()["duplicates"] == 0
    other = run_forwarding(project, "to-mparticle")
    assert (len(other.files), other.acknowledged, other.repeated) == (2, 11, ["4.jsonl"])
    forwardings = {one.job: one for one in status(project).forwardings}
    assert forwardings["to-amplitude"].files == 2 and forwardings["to-amplitude"].pending == 0
    landed = [load for load in current_loads(project.lake, forwarded=True).values() if load.scope == "to-amplitude"]
    assert sorted(json.loads(load.details)["file"] for load in landed) == ["1.jsonl", "2.jsonl.gz"]


def test_bad_lines_duplicates_and_what_is_not_meant_to_be_sent(
    start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path
) -> None:
    project, running = start(jobs=lambda text: text.replace("to-amplitude: {", "to-amplitude: {events: [user.subscription.renewed], "))
    lines = [webhook(1), webhook(1), "[1, 2]", '{"cut": ', webhook(2, event_type="device.impression"), webhook(3, external_ids=[])]
    put(tmp_path, "1.jsonl", lines)
    report = run_forwarding(project, "to-amplitude")
    assert (report.lines, report.events, report.acknowledged, report.duplicates, report.rejects) == (6, 1, 1, 1, 2)
    assert report.skipped == {"not_selected": 1, "no_external_id": 1}
    assert ids(running) == ["evt-1"]
    found = [(row["line"], row["code"], row["reason"], row["member"], row["stream"]) for row in rejects_of(tmp_path)]
    assert found == [
        (3, "not_an_object", "the line is no JSON object", "1.jsonl", "nami"),
        (4, "not_json", "the line is not JSON", "1.jsonl", "nami"),
    ]


@pytest.mark.parametrize("job", ["to-amplitude", "to-mparticle"])
def test_lines_of_odd_shapes_stop_nothing(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path, job: str) -> None:
    """Half an emoji, as a vendor writes it who cuts texts by UTF-16, and a type that is no text."""
    project, _ = start(jobs=lambda text: text.replace(f"{job}: {{", f"{job}: {{events: [user.subscription.renewed], "))
    halves = [
        webhook(1, note="cut \ud83d"),
        webhook(2, **{"\udc00": ["\ud83d"]}),
        webhook(3, id="evt-\ud83d"),
        webhook(4, note="\U0001f600"),
    ]
    bad = [webhook(5, external_ids=[{"key": "external_id", "value": "b\ud83d"}])]  # too short for Amplitude
    put(tmp_path, "1.jsonl", [*halves, *bad, webhook(6, event_type={"a": 1}), webhook(7)])
    report = run_forwarding(project, job)
    refused = 1 if job == "to-amplitude" else 0
    assert (report.acknowledged, report.rejects, report.failed) == (6 - refused, refused, {})
    assert report.skipped == {"not_selected": 1}
    assert run_forwarding(project, job).files == []


def test_a_time_that_cannot_be_read_is_counted_and_its_event_sent(
    start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path
) -> None:
    project, running = start()
    put(tmp_path, "1.jsonl", [webhook(1, created_date="soon"), webhook(2)])
    report = run_forwarding(project, "to-amplitude")
    assert (report.acknowledged, report.misfits) == (2, {"time": 1})
    assert ids(running) == ["evt-1", "evt-2"]


def test_one_push_to_several_devices(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path) -> None:
    project, running = start(jobs=lambda text: text.replace("to-amplitude: {type: nami", "to-amplitude: {type: customerio"))
    push = {
        "event_id": "01HZX6R1M6J9",
        "object_type": "push",
        "metric": "sent",
        "timestamp": 1709338350,
        "data": {"identifiers": {"id": "u-1042"}, "recipients": [{"device_id": f"token-{n}"} for n in range(3)]},
    }
    put(tmp_path, "1.jsonl", [push, {**push, "event_id": "2", "data": {}}])
    report = run_forwarding(project, "to-amplitude")
    assert (report.acknowledged, report.skipped) == (3, {"no_id_or_device": 1})
    assert len(set(ids(running))) == 3


def test_a_used_up_day_keeps_the_file_open(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path, time: FakeTime) -> None:
    project, running = start(
        "batch:daily", jobs=lambda text: text.replace("authorization: shop}", "authorization: shop, endpoint: batch}", 1)
    )
    put(tmp_path, "1.jsonl", [webhook(number, external_ids=user(number % 4)) for number in range(20)])
    put(tmp_path, "2.jsonl", [webhook(number, external_ids=user(0)) for number in range(20, 23)])
    first = run_forwarding(project, "to-amplitude")
    assert (first.acknowledged, first.waiting, first.open) == (15, {"daily quota": 8}, ["1.jsonl", "2.jsonl"])
    (found,) = (one for one in status(project).forwardings if one.job == "to-amplitude")
    assert (found.files, found.pending, list(found.quotas)) == (0, 2, ["user_id:user-0"])
    time.moment += timedelta(hours=2)
    assert run_forwarding(project, "to-amplitude").acknowledged == 0
    time.moment += timedelta(hours=23)
    last = run_forwarding(project, "to-amplitude")
    assert (last.acknowledged, last.before, last.files) == (8, 15, ["1.jsonl", "2.jsonl"])
    assert sorted(ids(running)) == sorted(f"evt-{number}" for number in range(23))
    assert running.state.tracked.summary()["duplicates"] == 0


def test_a_slow_sender_holds_up_no_other_file(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path, time: FakeTime) -> None:
    """One person has 700 events in two files; 10 a second may go. Everybody else's are there at once."""
    project, running = start()
    for file in range(2):
        put(tmp_path, f"{file}.jsonl", [webhook(number, external_ids=user(0)) for number in range(file * 350, file * 350 + 350)])
    put(tmp_path, "2.jsonl", [webhook(number) for number in range(1001, 1500)])
    started = time.moment
    report = run_forwarding(project, "to-amplitude")
    assert (report.acknowledged, len(report.files)) == (1199, 3)
    assert 60 <= (time.moment - started).total_seconds() < 61
    assert [one for one in ids(running)[:799] if int(one[4:]) > 1000] == [f"evt-{number}" for number in range(1001, 1500)]
    assert {one["status"] for one in running.state.asked()["requests"]} == {200}


def test_where_the_destination_is_down_the_rest_is_left(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path) -> None:
    project, running = start()
    for number in range(3):
        put(tmp_path, f"{number}.jsonl", [webhook(number)])
    (tmp_path / "inbox" / "00.jsonl.gz").write_bytes(gzip.compress(json.dumps(webhook(10)).encode() * 50)[:-9])
    running.state.faults.add(parse_faults(["httpapi:503:5"]))
    report = run_forwarding(project, "to-amplitude")
    assert sorted(report.failed) == ["0.jsonl", "00.jsonl.gz"] and "status 503" in report.failed["0.jsonl"]
    assert report.open == ["0.jsonl", "1.jsonl", "2.jsonl"]
    again = run_forwarding(project, "to-amplitude")
    assert again.files == ["0.jsonl", "1.jsonl", "2.jsonl"]
    assert list(again.failed) == ["00.jsonl.gz"] and "damaged" in again.failed["00.jsonl.gz"]


def test_rebuild_and_compact_leave_what_was_sent(start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path) -> None:
    project, running = start()
    put(tmp_path, "1.jsonl", [*(webhook(number) for number in range(5)), "no json"])
    run_forwarding(project, "to-amplitude")
    before = rejects_of(tmp_path)
    assert before
    rebuild_from_landing(project)
    compact(project.lake)
    assert rejects_of(tmp_path) == before
    assert run_forwarding(project, "to-amplitude").files == []
    (load,) = (load for load in current_loads(Lake(tmp_path / "lake"), forwarded=True).values() if load.stream == "forwarding")
    assert (load.rows, load.rejects, load.lines) == (0, 1, 6)
    assert len(ids(running)) == 5


def test_history_is_sent_in_bulk_and_leaves_user_properties_alone(
    start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path, time: FakeTime
) -> None:
    project, running = start(jobs=lambda text: text.replace("inbox: ./inbox,", "inbox: ./inbox, history: true,"))
    time.moment += timedelta(days=4)
    put(tmp_path, "1.jsonl", [webhook(number) for number in range(3)])
    assert run_forwarding(project, "to-amplitude").acknowledged == 3
    assert run_forwarding(project, "to-mparticle").acknowledged == 3
    paths = {one["path"] for one in running.state.asked()["requests"]}
    assert paths == {"/batch", "/v2/bulkevents/historical"}


def test_platforms_without_a_feed_are_skipped_unless_one_is_the_default(
    start: Callable[..., tuple[Project, RunningSandbox]], tmp_path: Path
) -> None:
    project, running = start(
        jobs=lambda text: text.replace(", android: {key: key-android, secret: secret-android}", "").replace("feeds: {ios:", "feeds: {IOS:")
    )
    put(tmp_path, "1.jsonl", [webhook(number) for number in range(4)])
    assert run_forwarding(project, "to-mparticle").skipped == {"no_feed": 2}
    received: dict[str, Any] = requests.get(running.url + "/_sandbox/mparticle", timeout=10).json()
    assert [one["batch"]["device_info"]["platform"] for one in received["taken"]] == ["iOS", "iOS"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("./inbox, destination: project", "./nowhere, destination: project", "there is no such inbox"),
        ("destination: project}", "destination: project, mapping: customerio_to_amplitude}", "is for the stream customerio"),
        ("destination: project}", "destination: workspace, mapping: nami_to_amplitude}", "gives no `events`, which mparticle takes"),
        ("destination: project}", "destination: project, mapping: nami_to_mparticle}", "gives no `event_type`, which amplitude takes"),
        ("nami, inbox: ./inbox,", "customerio, inbox: ./inbox, events: [email_snet],", "did you mean 'email_sent'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    old: str, new: str, words: str, start: Callable[..., tuple[Project, RunningSandbox]]
) -> None:
    project, _ = start(jobs=lambda text: text.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=words):
        run_forwarding(project, "to-amplitude")


def test_the_command(tmp_path: Path) -> None:
    with running_sandbox(SandboxOptions(sample=EMPTY)) as running:
        jobs = write_forwarding(tmp_path, running.url)
        short = webhook(200, external_ids=[{"key": "external_id", "value": "u"}])
        put(tmp_path, "1.jsonl", [*(webhook(number) for number in range(200)), short])
        planned = profilemill(tmp_path, "run", "to-amplitude", "--dry-run")
        assert planned.stdout.splitlines()[0] == "to-amplitude: 1 file" and ids(running) == []
        done = profilemill(tmp_path, "run", "to-amplitude", "--json", "--max-rejects", "0")
        assert done.returncode == 3, done.stderr
        assert "events sent" not in done.stderr, "a log gets a line every ten seconds, not one for each request"
        (report,) = json.loads(done.stdout)["forwarded"]
        assert (report["acknowledged"], report["reasons"]) == (200, {"user_id is too short": 1})
        shown = profilemill(tmp_path, "run", "to-amplitude", "to-mparticle")
        assert shown.returncode == 0, shown.stderr
        assert "nothing to send" in shown.stdout and "sent now             201" in shown.stdout
        stands = profilemill(tmp_path, "status")
        assert "1 files sent, the newest 1.jsonl; 0 waiting in the inbox" in stands.stdout
        with pytest.raises(ConfigurationError, match="--force is for jobs that import"):
            check_options(open_project(jobs), ["to-amplitude"], Options(force=True))


def test_rejects_of_imports_and_of_forwarding_share_a_table(tmp_path: Path) -> None:
    """Imports know no `reason`; their rejects come before and after those that have one, and rebuilding keeps both."""
    sample = SampleSpec(people=20, events=300, broken_lines=0.1)
    with running_sandbox(SandboxOptions(sample=sample)) as running:
        project = open_project(write_forwarding(tmp_path, running.url))
        put(tmp_path, "1.jsonl", [webhook(1), "no json"])
        day = Window(parse_hour("2022-11-21T00"), parse_hour("2022-11-21T12"))
        rejects = run_events(project, "shop-events", day).rejects
        run_forwarding(project, "to-amplitude")
        rejects += run_events(project, "shop-events", Window(day.end, day.end + timedelta(hours=12))).rejects
        for _ in range(2):
            found = [(row["stream"], row["reason"]) for row in rejects_of(tmp_path)]
            assert sorted(found, key=str) == [("amplitude_events", None)] * rejects + [("nami", "the line is not JSON")]
            profiles = build(project).profiles
            assert rebuild_from_landing(project).build.profiles == profiles > 0
        somebody = read_profiles(tmp_path / "lake")["amplitude_user_id"].dropna().iloc[0]
        put(tmp_path, "2.jsonl", [webhook(2, external_ids=user(2)), "no json either"])
        assert forget(project, [("amplitude_user_id", somebody)]).people == 1
        assert run_forwarding(project, "to-amplitude").files == ["2.jsonl"]
        assert [row["member"] for row in rejects_of(tmp_path) if row["stream"] == "nami"] == ["1.jsonl", "2.jsonl"]
        assert {one.files for one in status(project).forwardings} == {2, 0}
