"""The main job from the command line, against the sandbox over HTTP, and what careless users do to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import requests

from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.faults import parse_faults
from etl.sandbox.server import RunningSandbox, running_sandbox
from tests.pipeline.projects import WINDOW, command, differences, profilemill, published, write_jobs

ROOT = Path(__file__).parents[2]
BOTH = ("run", "shop-events", "shop-cohorts", *WINDOW)


def _answers(sandbox: RunningSandbox) -> dict[str, object]:
    found: dict[str, object] = requests.get(f"{sandbox.url}/_sandbox/answers", timeout=60).json()
    return found


def _requests(sandbox: RunningSandbox) -> dict[str, int]:
    found: dict[str, int] = requests.get(f"{sandbox.url}/_sandbox/requests", timeout=60).json()["routes"]
    return found


def test_profiles_are_the_right_answers(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    done = profilemill(tmp_path, *BOTH, "--json")
    assert done.returncode == 0, done.stderr
    answers = _answers(sandbox)
    assert differences(answers, published(tmp_path)) == []
    events, _ = json.loads(done.stdout)["imports"]
    assert (events["lines"], events["rejects"], events["duplicates"]) == (answers["lines"], answers["broken"], answers["duplicates"])
    assert (events["rows"], events["unidentified"], events["early"]) == (
        answers["events"],
        answers["unidentified_events"],
        answers["wrong_clocks"],
    )

    asked = _requests(sandbox)
    again = profilemill(tmp_path, *BOTH, "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert [one["loaded"] + one["replaced"] for one in report["imports"]] == [[], []]
    assert [one["written"] for one in report["destinations"]] == [0, 0]
    assert _requests(sandbox)["export"] == asked["export"], "an hour was asked for again"
    assert _requests(sandbox)["cohort_request"] == asked["cohort_request"], "quota was spent again"

    before = published(tmp_path)
    for source in ("fragments", "landing"):
        rebuilt = profilemill(tmp_path, "rebuild", "--from", source)
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert published(tmp_path) == before
    compacted = profilemill(tmp_path, "compact")
    assert compacted.returncode == 0, compacted.stderr
    assert differences(answers, published(tmp_path)) == []


def test_status_and_profiles_show(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    assert profilemill(tmp_path, "run", "shop-events", *WINDOW).returncode == 0
    status = profilemill(tmp_path, "status", "--samples", "1")
    assert "24 hours from 2022-11-21T00 to 2022-11-21T23, 1 of them empty" in status.stdout
    assert "nothing is loaded yet" in status.stdout
    shown = profilemill(tmp_path, "profiles", "show", "amplitude_user_id=313803", "--json")
    (profile,) = json.loads(shown.stdout)
    assert profile["amplitude_events"] == {"Sms Sent": 1}
    assert profile["amplitude_event_properties"]["content"] == "Hey jenny! I got your number!"
    by_id = profilemill(tmp_path, "profiles", "show", f"profile_id={profile['profile_id']}", "--json")
    assert json.loads(by_id.stdout) == [profile]
    nobody = profilemill(tmp_path, "profiles", "show", "amplitude_user_id=nobody")
    assert (nobody.returncode, nobody.stderr.strip()) == (1, "error: nobody has amplitude_user_id=nobody")


@pytest.mark.parametrize(
    "faults",
    [
        ["export:429:2", "cohorts:503", "cohort_request:503", "cohort_status:429:2", "cohort_file:500"],
        ["export:html", "export:truncated", "export:reset", "cohort_file:html", "cohort_file:reset"],
        ["export:504", "export:400:2", "cohort_file:expired"],
        ["export:truncated_member"],
    ],
)
def test_faults_that_pass_change_nothing(faults: list[str], tmp_path: Path) -> None:
    sample = SampleSpec(events=400, people=30, cohorts=2)
    with running_sandbox(SandboxOptions(sample=sample, faults=parse_faults(faults))) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        done = profilemill(tmp_path, *BOTH)
        assert done.returncode == 0, done.stderr + done.stdout
        assert differences(_answers(sandbox), published(tmp_path)) == []


def test_an_hour_that_stays_damaged_is_left_open(tmp_path: Path) -> None:
    sample = SampleSpec(events=200, people=20, hours=3, cohorts=0)
    faults = parse_faults(["export:truncated_member:*"])
    with running_sandbox(SandboxOptions(sample=sample, faults=faults)) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        failed = profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-21T00", "--to", "2022-11-21T03")
    assert failed.returncode == 1
    assert "a member of the export is damaged" in failed.stdout
    assert "the hour is still open" in failed.stdout
    status = json.loads(profilemill(tmp_path, "status", "--json").stdout)
    assert status["jobs"][0]["loads"] == 2, "the other hours are loaded"


@pytest.mark.parametrize(
    ("change", "arguments", "code", "expected"),
    [
        ({"secret": "hush-hush"}, ("run", "shop-events", *WINDOW), 2, "region"),
        ({}, ("run", "shop-cohorts", "--cohort", "No such cohort"), 2, "there is no cohort 'No such cohort'"),
        ({}, ("run", "shop-event"), 2, "did you mean 'shop-events'?"),
        ({}, ("run", "shop-events", "--from", "2022-11-21T00"), 2, "--from and --to go together"),
        ({}, ("run", "shop-events", "--from", "yesterday", "--to", "today"), 2, "this is not a UTC hour: yesterday"),
        ({}, ("run", "shop-events", "--from", "2022-11-22T00", "--to", "2022-11-21T00"), 2, "the window holds no hour"),
        ({}, ("run", "shop-events", "--max-rejects", "many"), 2, "--max-rejects is a number of lines or a percentage"),
        ({}, ("run",), 2, "Missing argument"),
        ({}, ("run", "shop-events", "--cohort", "x"), 2, "--cohort and --accept-exits are for cohort jobs"),
        ({}, ("run", "shop-cohorts", *WINDOW), 2, "--from and --to are for event jobs"),
        ({}, ("rebuild", "--from", "scratch"), 2, "--from fragments or --from landing"),
        ({}, ("profiles", "show", "amplitude_user_id"), 2, "write the identifier as KEY=VALUE"),
        ({}, ("profiles", "show", "email=x"), 1, "nobody has email=x"),
        ({"key": '"${NOT_SET_ANYWHERE}"'}, ("run", "shop-events", *WINDOW), 2, "the environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_wrong_use_is_one_clear_error(
    change: dict[str, str], arguments: tuple[str, ...], code: int, expected: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    write_jobs(tmp_path, sandbox.url, **change)
    done = profilemill(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush-hush" not in done.stderr + done.stdout, "no secret in any text"
    assert not (tmp_path / "lake/loads").exists(), "nothing half-written"


def test_an_unwritable_lake_and_destination(sandbox: RunningSandbox, tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, sandbox.url)
    text = jobs.read_text()
    jobs.write_text(text.replace("./lake", "./jobs.yaml/lake"))
    refused = profilemill(tmp_path, "run", "shop-events", *WINDOW)
    assert refused.returncode == 2
    assert "the lake is not a folder" in refused.stderr
    for other in (("status",), ("profiles", "show", "amplitude_id=1"), ("compact",)):
        said = profilemill(tmp_path, *other)
        assert (said.returncode, "the lake is not a folder" in said.stderr) == (2, True), said.stderr
    jobs.write_text(text)
    (tmp_path / "out/profiles").mkdir(parents=True)
    (tmp_path / "out/profiles/precious.txt").write_text("mine")
    refused = profilemill(tmp_path, "run", "shop-events", *WINDOW)
    assert refused.returncode == 2
    assert "taken by something that Profilemill did not write" in refused.stderr
    assert (tmp_path / "out/profiles/precious.txt").read_text() == "mine"


def test_a_broken_mapping_stops_before_the_first_request(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/amplitude_events.yaml").write_text(
        "stream: amplitude_events\nfields:\n  - {field: a, from: todat(x), kind: date}\n"
    )
    done = profilemill(tmp_path, "run", "shop-events", *WINDOW)
    assert done.returncode == 2
    assert "amplitude_events.yaml:3:22: E201 there is no function 'todat'" in done.stderr
    assert "did you mean 'todate'?" in done.stderr
    assert "export" not in _requests(sandbox)


def test_too_many_rejects_give_their_own_exit_code(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    done = profilemill(tmp_path, "run", "shop-events", *WINDOW, "--max-rejects", "0")
    assert done.returncode == 3, done.stdout
    assert "rejects" in done.stdout


def test_quota_and_other_cohorts(tmp_path: Path) -> None:
    sample = SampleSpec(events=100, people=20, cohorts=3)
    with running_sandbox(SandboxOptions(sample=sample, monthly_quota=2)) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        done = profilemill(tmp_path, "run", "shop-cohorts", "--json")
        report = json.loads(done.stdout)["imports"][0]
        assert done.returncode == 1
        assert len(report["loaded"]) == 2
        assert len(report["failed"]) == 1
        assert "quota" in next(iter(report["failed"].values())).lower()


def test_check_names_what_is_wrong(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    fine = profilemill(tmp_path, "check")
    assert (fine.returncode, "FAULT" in fine.stdout) == (0, False), fine.stdout
    write_jobs(tmp_path, sandbox.url, secret="hush-hush")
    wrong = profilemill(tmp_path, "check")
    assert wrong.returncode == 2
    assert "FAULT authorization shop" in wrong.stdout


def test_map_shows_rows_and_sql(tmp_path: Path) -> None:
    rows = profilemill(
        tmp_path, "map", "amplitude_cohorts", "-", stdin='{"amplitude_id": 5, "cohort_id": "c", "cohort_membership": false}\nnonsense\n'
    )
    assert rows.returncode == 0, rows.stderr
    row = json.loads(rows.stdout)
    assert (row["amplitude_id"], row["amplitude_cohort_ids"]) == ("5", {"c": False})
    assert "line 2 is not a JSON object" in rows.stderr
    (tmp_path / "members.csv").write_text('"amplitude_id","city"\n"7",""\n"8","Oslo"\n')
    lines = profilemill(tmp_path, "map", "amplitude_cohorts", "members.csv").stdout.splitlines()
    assert [json.loads(line).get("city") for line in lines] == [None, "Oslo"]
    assert "from_json" in profilemill(tmp_path, "map", "amplitude_events", "--explain").stdout
    unknown = profilemill(tmp_path, "map", "amplitude_event", "members.csv")
    assert (unknown.returncode, "did you mean 'amplitude_events'?" in unknown.stderr) == (2, True)


def test_an_import_beside_a_rebuild_is_not_lost(sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    assert profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-21T00", "--to", "2022-11-21T12").returncode == 0
    rebuilding = subprocess.Popen(command("rebuild", "--from", "landing"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    imported = profilemill(tmp_path, "run", "shop-events", "shop-cohorts", "--from", "2022-11-21T12", "--to", "2022-11-22T00")
    assert imported.returncode == 0, imported.stderr
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0, said
    last = profilemill(tmp_path, "run", "shop-events", "shop-cohorts", *WINDOW, "--json")
    assert last.returncode == 0, last.stderr
    report = json.loads(last.stdout)
    assert [one["loaded"] for one in report["imports"]] == [[], []], "a load was lost"
    assert differences(_answers(sandbox), published(tmp_path)) == []


def test_one_job_that_breaks_off_does_not_stop_the_other(tmp_path: Path) -> None:
    sample = SampleSpec(events=200, people=20, cohorts=2)
    with running_sandbox(SandboxOptions(sample=sample, faults=parse_faults(["export:403:*"]))) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        done = profilemill(tmp_path, *BOTH, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert len(report["imports"][0]["loaded"]) == 2
    assert "region" in report["errors"]["shop-events"]
    assert report["build"]["profiles"] > 0


def test_a_request_that_is_refused_for_every_hour_stops_the_job(tmp_path: Path) -> None:
    sample = SampleSpec(events=50, people=5, cohorts=0)
    with running_sandbox(SandboxOptions(sample=sample, faults=parse_faults(["export:400:*"]))) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        done = profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-20T00", "--to", "2022-11-22T00")
        assert done.returncode == 1
        assert "one hour is too large for the Export API, or the request is at fault" in done.stderr
        assert _requests(sandbox)["export"] < 50, "the second day is not asked for"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_ctrl_c_is_one_message(share: float, sandbox: RunningSandbox, tmp_path: Path) -> None:
    write_jobs(tmp_path, sandbox.url)
    process = subprocess.Popen(command(*BOTH), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.3 + 3 * share)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    if process.returncode != 0:  # it may have ended just before
        assert process.returncode == 130, said
        assert "error: interrupted; nothing half-done counts, run again to go on" in said
        assert "Traceback" not in said
    again = profilemill(tmp_path, *BOTH)
    assert again.returncode == 0, again.stderr
    assert differences(_answers(sandbox), published(tmp_path)) == []


def test_without_the_kernel_the_answers_are_the_same(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """A package whose kernel could not be built, on a machine without a compiler say."""
    package = tmp_path / "package"
    shutil.copytree(ROOT / "etl", package / "etl", ignore=shutil.ignore_patterns("_kernel*", "__pycache__"))
    shutil.copytree(ROOT / "mappings", package / "mappings")
    project = tmp_path / "project"
    write_jobs(project, sandbox.url)
    environment = os.environ | {"PYTHONPATH": str(package)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*arguments), cwd=project, env=environment, capture_output=True, text=True, timeout=300)

    assert "kernel for JSON lines  (not built)" in run("check", "--offline").stdout
    done = run(*BOTH)
    assert done.returncode == 0, done.stderr
    assert differences(_answers(sandbox), published(project)) == []
