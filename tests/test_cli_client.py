"""`profilemill client ...` against a sandbox; where a host is chosen, against a stand-in beside it."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from etl.cli import main
from etl.client_inputs import ids_in, objects, open_client, properties_of
from etl.errors import ConfigurationError
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox
from etl.settings import Clock
from tests.clients.service import Service, as_json
from tests.pipeline.projects import command, write_jobs

SECRET = "a-secret-that-nobody-sees"
NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    options = SandboxOptions(
        sample=SampleSpec(events=300, people=30),
        secret=SECRET,
        export_delay=timedelta(0),
        polls_before_ready=0,
        clock=Clock(now=lambda: NOW),
    )
    with running_sandbox(options) as running:
        yield running


@pytest.fixture
def run(sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs `profilemill client ARGUMENTS` with the sandbox's keys in the environment: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("AMPLITUDE_REGION", "AMPLITUDE_TOKEN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("API_KEY", "key"), ("SECRET_KEY", SECRET), ("BASE_URL", sandbox.url)):
        monkeypatch.setenv(f"AMPLITUDE_{name}", value)
    every = ""

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        nonlocal every
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code, shown = main(["client", *arguments]), capsys.readouterr()
        every += shown.out + shown.err
        return code, shown.out, shown.err

    yield call
    assert SECRET not in every


def tracked(sandbox: RunningSandbox) -> int:
    return int(sandbox.state.tracked.summary()["stored"])


def lines(*items: Any) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


# Keys and hosts


def test_keys_come_from_an_authorization_or_the_environment(run: Run, sandbox: RunningSandbox, tmp_path: Path, monkeypatch) -> None:
    assert run("cohorts", "usage", "--json")[0] == 0
    for name in ("AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY", "AMPLITUDE_BASE_URL"):
        monkeypatch.delenv(name)
    code, _, text = run("cohorts", "list")
    assert (code, text) == (
        2,
        "error: There is no API key\n  Next: set AMPLITUDE_API_KEY, or name an authorization: --authorization NAME\n",
    )
    write_jobs(tmp_path, sandbox.url, secret=SECRET)
    code, out, _ = run("cohorts", "list", "--authorization", "shop")
    assert (code, "Weekly actives" in out) == (0, True)
    code, _, text = run("cohorts", "list", "--authorization", "shopp")
    assert (code, "There is no such authorization (file jobs.yaml): shopp\n  Next: did you mean 'shop'?" in text) == (2, True)
    assert run("cohorts", "list", "--jobs", "jobs.yaml")[0] == 2
    write_jobs(tmp_path, sandbox.url, secret="wrong")
    code, _, text = run("cohorts", "list", "--authorization", "shop")
    assert (code, "Amplitude refused the credentials" in text) == (2, True)


@pytest.mark.parametrize(
    ("region", "hosts"),
    [
        ("us", ("https://amplitude.com", "https://api2.amplitude.com")),
        ("eu", ("https://analytics.eu.amplitude.com", "https://api.eu.amplitude.com")),
    ],
)
def test_the_region_gives_the_hosts_of_every_call(region: str, hosts: tuple[str, str], tmp_path: Path, monkeypatch) -> None:
    for name in ("AMPLITUDE_BASE_URL", "AMPLITUDE_TOKEN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMPLITUDE_API_KEY", "key")
    monkeypatch.setenv("AMPLITUDE_REGION", region)
    with open_client(None, None) as client:
        assert (client.base_url, client.token_endpoint) == hosts
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(f"lake: ./lake\nauthorizations:\n  shop: {{region: {region}, api_key: key, secret_key: secret}}\n")
    with open_client("shop", jobs) as client:
        assert (client.base_url, client.token_endpoint) == hosts


def test_a_wrong_region_is_named(run: Run, monkeypatch) -> None:
    monkeypatch.setenv("AMPLITUDE_REGION", "asia")
    assert run("cohorts", "list") == (2, "", "error: Unknown region: asia\n  Next: write one of: us, eu\n")


def test_the_token_endpoint_takes_what_is_sent_and_nothing_else(run: Run, sandbox: RunningSandbox, tmp_path: Path, monkeypatch) -> None:
    write_jobs(tmp_path, sandbox.url, secret=SECRET)
    other = Service()
    try:
        other.on("/2/httpapi", as_json(code=200, events_ingested=1))
        monkeypatch.setenv("AMPLITUDE_TOKEN_ENDPOINT", other.url)
        for named in ((), ("--authorization", "shop")):
            assert run("track", "--event-type", "a", "--user-id", "u-1", *named)[0] == 0
            assert run("cohorts", "list", *named)[0] == 0
        assert [seen.path for seen in other.seen] == ["/2/httpapi"] * 2
    finally:
        other.stop()


def test_sending_needs_no_secret(run: Run, monkeypatch) -> None:
    monkeypatch.delenv("AMPLITUDE_SECRET_KEY")
    assert run("track", "--event-type", "a", "--user-id", "u-1042")[0] == 0
    code, _, text = run("user-search", "u-1042")
    assert (code, "needs the secret key" in text) == (2, True)


# Track, identify


def test_one_event_with_properties(run: Run, sandbox: RunningSandbox) -> None:
    before = tracked(sandbox)
    code, out, _ = run(
        "track", "--event-type", "Order Completed", "--user-id", "u-cli-1", "-p", "total=12.5", "-p", "name=a=b", "-p", "tags=[1]",
        "--properties", '{"total": 1, "é": null}', "--session-id", "1709338350000", "--json",
    )  # fmt: skip
    assert (code, json.loads(out)) == (0, {"events": 1, "requests": 1, "server_upload_time": "2024-03-02T12:00:00+00:00"})
    code, out, _ = run("user-search", "u-cli-1", "--json")
    code, out, _ = run("user-activity", str(json.loads(out)["matches"][0]["amplitude_id"]), "--json")
    (event,) = json.loads(out)["events"]
    assert event["event_properties"] == {"total": 12.5, "é": None, "name": "a=b", "tags": [1]}
    assert (event["session_id"], tracked(sandbox)) == (1709338350000, before + 1)


@pytest.mark.parametrize("form", ["lines", "array", "object", "gzip", "bom", "stdin"])
def test_files_of_events_in_every_form(run: Run, sandbox: RunningSandbox, tmp_path: Path, form: str) -> None:
    before = tracked(sandbox)
    items = [{"eventType": "é", "userId": f"u-{index:05}"} for index in range(1 if form == "object" else 3)]
    text = {"array": json.dumps(items, indent=1), "object": json.dumps(items[0], indent=1)}.get(form, "\n" + lines(*items) + "\n")
    path = tmp_path / f"events.{'json.gz' if form == 'gzip' else 'json'}"
    content = ("\ufeff" * (form == "bom") + text.lstrip() * (form == "bom") + text * (form != "bom")).encode()
    path.write_bytes(gzip.compress(content) if form == "gzip" else content)
    code, out, _ = run("track", "-", stdin=text) if form == "stdin" else run("track", str(path))
    assert (code, tracked(sandbox) - before) == (0, len(items))
    assert out.startswith(f"{len(items)} event")


def test_many_events_go_in_several_requests_and_a_bad_one_is_counted_from_the_first(run: Run, sandbox: RunningSandbox) -> None:
    before = tracked(sandbox)
    events = [{"event_type": "a", "user_id": f"u-{index:05}"} for index in range(2500)]
    code, out, _ = run("track", "-", "--batch", stdin=lines(*events))
    assert (code, out) == (0, "2,500 events acknowledged in 2 requests\n")
    events[2100]["time"] = "today"
    code, _, text = run("track", "-", "--batch", stdin=lines(*events))
    assert code == 1
    assert "acknowledged 2000, events 500, status 400" in text
    assert "(event 2100: time is not valid)" in text
    assert tracked(sandbox) - before == 4500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines({"a": 1}) + "nothing\n", "This is not JSON (line 2): nothing"),
        (lines({"event_type": "a", "user_id": "u-1042"}, [1]), "An object is expected (line 2): [1]"),
        ("[1]", "An object is expected (index 0): 1"),
        ("nothing", "This is not JSON (file -): nothing"),
        ("", "there are no events: -"),
        ("[]", "there are no events: -"),
    ],
)
def test_what_is_no_event_is_named_by_its_place(run: Run, sandbox: RunningSandbox, text: str, message: str) -> None:
    before = tracked(sandbox)
    code, _, error = run("track", "-", stdin=text)
    assert (code, message.split(" (")[0] in error, message in error.replace("acknowledged 0, ", "")) == (2, True, True)
    assert tracked(sandbox) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("track",),
        ("track", "x.json", "--event-type", "a"),
        ("track", "x.json", "-p", "a=1"),
        ("track", "missing.json"),
        ("track", "--event-type", "a", "-p", "a"),
        ("track", "--event-type", "a", "--properties", "[1]"),
        ("identify", "--user-id", "u"),
        ("identify", "x.json", "-p", "a=1"),
        ("identify", "-p", "a=1"),
        ("group-identify", "workspace"),
        ("export", "out.zip", "--from", "2024-03-02", "--to", "x"),
        ("segmentation", "a", "--first", "x", "--last", "2024-03-02"),
        ("segmentation", "a", "--first", "2024-03-02", "--last", "2024-03-01"),
        ("segmentation", "a", "--first", "2024-03-02", "--last", "2024-03-02", "--segment", "{"),
        ("segmentation", "a", "--first", "2023-03-03", "--last", "2024-03-01", "--by", "country"),
        ("user-activity", "u-1042"),
        ("cohorts", "members", "c"),
        ("cohorts", "upload", "a", "missing.txt", "--app-id", "1", "--owner", "x"),
        ("nothing",),
    ],
)
def test_wrong_usage_asks_nothing(run: Run, sandbox: RunningSandbox, arguments: tuple[str, ...]) -> None:
    before = len(sandbox.state.asked()["requests"])
    code, _, error = run(*arguments)
    assert (code, error != "") == (2, True)
    assert len(sandbox.state.asked()["requests"]) == before


def test_users_and_groups_are_identified(run: Run, sandbox: RunningSandbox) -> None:
    many = [{"user_id": f"u-{index:05}", "user_properties": {"n": index}} for index in range(1500)]
    code, out, _ = run("identify", "-", stdin=lines(*many))
    assert (code, out) == (0, "1,500 users identified; it shows from their next event on\n")
    code, out, _ = run("identify", "--user-id", "u-00007", "--properties", '{"$add": {"n": 1}}', "--json")
    assert (code, json.loads(out)) == (0, {"identified": 1})
    with sandbox.state.tracked.users() as users:
        assert users.resolve("u-00007", None).properties == {"n": 8}
    code, out, _ = run("group-identify", "workspace", "1", "2", "-p", "plan=team")
    assert (code, out) == (0, "2 groups identified\n")
    assert sandbox.state.tracked.summary()["groups"] == {"workspace": {"1": {"plan": "team"}, "2": {"plan": "team"}}}


# Reading


def test_an_export_goes_to_a_file_or_to_stdout_as_bytes(run: Run, sandbox: RunningSandbox, tmp_path: Path) -> None:
    window = ("--from", "2022-11-21T10", "--to", "2022-11-21T12")
    code, out, _ = run("export", *window, "events.zip", "--json")
    content = (tmp_path / "events.zip").read_bytes()
    assert (code, json.loads(out)) == (0, {"path": "events.zip", "bytes": len(content)})
    piped = subprocess.run(command("client", "export", *window, "-"), capture_output=True, timeout=120)
    assert (piped.returncode, piped.stdout) == (0, content)
    code, _, text = run("export", "--from", "2020-01-01T00", "--to", "2020-01-01T01", "none.zip")
    assert (code, "There are no events in these hours" in text, (tmp_path / "none.zip").exists()) == (1, True, False)


def test_an_activity_says_whether_there_is_more(run: Run) -> None:
    run(
        "track",
        "-",
        stdin=lines(*({"event_type": f"e{index}", "user_id": "u-more-1", "time": 1709338350000 + index} for index in range(30))),
    )
    code, out, _ = run("user-search", "u-more")
    assert (code, out.splitlines()[0]) == (0, "match_user_prefix, 1 found")
    amplitude_id = out.splitlines()[-1].split()[0]
    code, out, _ = run("user-activity", amplitude_id, "--most", "10")
    assert (code, "10 events, and Amplitude has more" in out) == (0, True)
    code, out, _ = run("user-activity", amplitude_id, "--earliest", "--offset", "5", "--most", "25")
    assert ("25 events\n" in out, "… and 5 more of them" in out, "e5" in out) == (True, True, True)
    code, out, _ = run("user-activity", amplitude_id, "--most", "29", "--json")
    found = json.loads(out)
    assert (found["truncated"], len(found["events"]), found["userData"]["num_events"]) == (True, 29, 30)
    assert run("user-activity", "5") == (1, "nobody has the Amplitude ID 5\n", "")
    assert run("user-search", "nobody-here")[:2] == (1, "nomatch, 0 found\n")


def test_events_are_counted_and_queries_priced(run: Run) -> None:
    days = ("--first", "2022-11-20", "--last", "2022-11-21")
    segment = '{"prop": "platform", "op": "is", "values": ["Web"]}'
    code, out, _ = run("segmentation", "Page Viewed", *days, "--metric", "totals", "--by", "platform", "--segment", segment)
    assert (code, out.splitlines()[0].split(), out.splitlines()[2].split()[0]) == (0, ["Web"], "2022-11-21")
    code, out, _ = run("segmentation", '{"event_type": "Page Viewed"}', *days, "--second-event", "Ad Seen", "--json")
    assert (code, json.loads(out)["cost"], json.loads(out)["data"]["xValues"]) == (0, 4, ["2022-11-20", "2022-11-21"])
    code, out, _ = run("segmentation", "Page Viewed", *days)
    assert out.splitlines()[0].split() == ["value"]
    assert run("segmentation", "x", *days, "--by", "country", "--cost")[:2] == (0, "about 10 of 1,000 in five minutes\n")
    code, _, text = run("segmentation", "Never Seen", *days)
    assert (code, "Invalid event type Never Seen" in text) == (1, True)


# Cohorts


def test_a_cohorts_life(run: Run, sandbox: RunningSandbox, tmp_path: Path) -> None:
    run("track", "-", stdin=lines(*({"event_type": "a", "user_id": f"u-life-{index}"} for index in range(3))))
    owned = ("--app-id", "123456", "--owner", "ana@example.com")
    code, out, _ = run("cohorts", "upload", "New", "-", *owned, stdin="u-life-0\n\nnobody\n u-life-1 \n")
    assert (code, out) == (0, "cohort up00005: 2 of 3 ids matched\n  of nobody: nobody\n")
    (tmp_path / "add.txt").write_text("u-life-2\n")
    code, out, _ = run("cohorts", "members", "up00005", "--add", "add.txt", "--remove", "-", "--json", stdin="u-life-0\nno\n")
    assert (code, json.loads(out)) == (0, {"cohort_id": "up00005", "added": 1, "removed": 2, "skipped": ["no"]})
    code, out, _ = run("cohorts", "request", "up00005", "--props")
    request_id = out.strip()
    code, out, _ = run("cohorts", "download", request_id, "members.csv", "--wait", "1")
    assert (code, out) == (0, f"members.csv: {(tmp_path / 'members.csv').stat().st_size} bytes\n")
    assert [line.split(",")[1] for line in (tmp_path / "members.csv").read_text().splitlines()] == ['"user_id"', '"u-life-1"', '"u-life-2"']
    code, _, text = run("cohorts", "upload", "New", "-", *owned, "--existing", "up00005", "--strict", stdin="u-life-0\nno\n")
    assert (code, "Amplitude refused the ids" in text) == (1, True)
    code, out, _ = run("cohorts", "upload", "New", "-", *owned, "--existing", "up00005", "--hidden", "--json", stdin="u-life-0\n")
    assert json.loads(out) == {"cohort_id": "up00005", "matched": 1, "given": 1, "invalid_ids_sample": []}
    listed = {one["id"]: one for one in json.loads(run("cohorts", "list", "--json")[1])}
    assert (listed["up00005"]["size"], listed["up00005"]["published"]) == (1, False)
    assert run("cohorts", "usage")[1].startswith("1 of 500 cohort requests used this month, counted anew from 2024-04-01 00:00 UTC")
    assert run("cohorts", "members", "nope", "--add", "add.txt")[0] == 1


# Files


@pytest.mark.parametrize(
    "content",
    [gzip.compress(lines({"event_type": "a"}).encode())[:-9], b"not gzip", gzip.compress(b'{"a": "\xff"}')],
    ids=["cut", "not gzip", "not UTF-8"],
)
def test_a_damaged_file_is_named(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events.json.gz").write_bytes(content)
    for arguments in (("track", "events.json.gz"), ("cohorts", "members", "c", "--add", "events.json.gz")):
        code, _, text = run(*arguments)
        assert (code, text.replace(" (acknowledged 0)", "")[:46]) == (2, "error: cannot read the input: events.json.gz: ")


def test_lines_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('\n{"a": 1}\n{"a": 2}\n\nnot JSON\n')
    found = objects(path)
    assert [next(found), next(found)] == [{"a": 1}, {"a": 2}]
    with pytest.raises(ConfigurationError, match="line 5"):
        next(found)


# What others write


def test_what_is_no_json_is_named_by_its_line_and_is_a_text_as_a_property(run: Run, sandbox: RunningSandbox) -> None:
    before = tracked(sandbox)
    assert properties_of(["n=NaN", "i=-Infinity", "e=1.5"], None) == {"n": "NaN", "i": "-Infinity", "e": 1.5}
    code, _, text = run("track", "-", stdin='{"event_type": "A", "user_id": "user-1"}\n{"event_type": "A", "time": NaN}\n')
    assert (code, "line 2" in text, "JSON has no NaN" in text) == (2, True, True)
    assert tracked(sandbox) == before


def test_a_mark_before_the_first_id_is_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfu-1\r\n\nu-2")
    assert ids_in(tmp_path / "ids.txt") == ["u-1", "u-2"]


@pytest.mark.parametrize("target", ["", "file/x"])
def test_where_nothing_can_be_written_nothing_is_asked_for(run: Run, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (("export", "--from", "2022-11-21T00", "--to", "2022-11-21T01"), ("cohorts", "download", "r1", "--wait", "0")):
        code, _, text = run(*arguments, str(tmp_path / target))
        assert (code, text.startswith("error: cannot write the file: ")) == (2, True)


def test_texts_of_others_do_not_steer_the_terminal(run: Run, monkeypatch) -> None:
    odd = "\x1b[31mred\u202e\x00"
    service = Service()
    try:
        service.on("/api/3/cohorts", as_json(cohorts=[{"id": "x1", "name": odd}]))
        service.on("/api/2/events/segmentation", as_json(data={"series": [[None]], "seriesLabels": [odd], "xValues": ["2024-03-01"]}))
        service.on("/api/2/usersearch", as_json(400, error=odd))
        monkeypatch.setenv("AMPLITUDE_BASE_URL", service.url)
        code, out, _ = run("cohorts", "list")
        assert (code, out.splitlines()[-1].split()) == (0, ["x1", "\ufffd[31mred\ufffd\ufffd"])
        code, out, _ = run("segmentation", "A", "--first", "2024-03-01", "--last", "2024-03-01")
        assert (code, out.split()) == (0, ["\ufffd[31mred\ufffd\ufffd", "2024-03-01"]), "and a null is no value"
        code, _, text = run("user-search", "u-1")
        assert (code, "\x1b" in text) == (1, False)
        assert run("segmentation", "A", "--first", "2024-03-01", "--last", "2024-03-01", "--segment", "[1]")[0] == 2
    finally:
        service.stop()


def test_wrong_keys_are_no_unknown_usage(run: Run, monkeypatch) -> None:
    monkeypatch.setenv("AMPLITUDE_SECRET_KEY", "another-one")
    assert run("cohorts", "usage")[0] == 2
