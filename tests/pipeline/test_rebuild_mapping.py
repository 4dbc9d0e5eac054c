"""`rebuild --from landing --mapping X`: X's loads are mapped again, everything else stays as it is, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.engines.local import rows
from etl.errors import ConfigurationError, DataError
from etl.jobs import load_jobs
from etl.lake.attempts import attempt_of
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.lake.tables import files_of
from etl.landing.manifest import LoadId
from etl.mapping import load_mapping
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.kept_loads import keep_loads
from etl.pipeline.profiles import build
from etl.pipeline.project import Project
from etl.pipeline.upkeep import rebuild_from_landing
from etl.profiles.build import build_profiles
from etl.profiles.fields import stream_fields
from etl.profiles.published import find_profiles
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox
from tests.pipeline.projects import WINDOW, command, profilemill, published, write_jobs
from tests.profiles import lakes
from tests.profiles.reference import profiles_of

KILLS = int(os.environ.get("PROFILEMILL_KILLS", "2"))
SEED = int(os.environ.get("PROFILEMILL_SEED", "11"))

TWO_PROJECTS = """
lake: ./lake
authorizations:
  north: {api_key: k, secret_key: s}
  south: {api_key: k, secret_key: s}
jobs:
  north-events: {type: amplitude_events, authorization: north, mapping: northern}
  south-events: {type: amplitude_events, authorization: south, mapping: southern}
"""
MAPPING = """
stream: amplitude_events
time: time
by: [user]
fields:
  - {field: user, from: user, kind: string}
  - {field: city, from: city, kind: string}
"""


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=SampleSpec(events=300, people=30, cohorts=1))) as running:
        yield running


def _two_projects(folder: Path) -> Project:
    """Two projects on one stream, each with a mapping of its own and a load of one record."""
    (folder / "jobs.yaml").write_text(TWO_PROJECTS)
    (folder / "mappings").mkdir()
    project = Project(folder / "jobs.yaml", load_jobs(folder / "jobs.yaml"))
    for name, mapping in (("north", "northern"), ("south", "southern")):
        _write(folder, mapping, MAPPING)
        _import(project, name, {"user": f"{name}-1", "city": "Oslo", "town": "Rome", "time": "2024-03-01"})
    build(project)
    return project


def _write(folder: Path, mapping: str, text: str) -> None:
    (folder / f"mappings/{mapping}.yaml").write_text(text)


def _import(project: Project, scope: str, record: dict[str, Any]) -> None:
    landed = lakes.land(project.lake, 0, [record | {"time": 0}])
    own = LoadId("amplitude_events", scope, landed.load.unit)
    target = project.lake.landing / own.folder / landed.attempt
    target.parent.mkdir(parents=True, exist_ok=True)
    landed.folder.rename(target)
    moved = type(landed)(own, landed.attempt, target, landed.members, landed.time, landed.size, landed.details)
    moved.write(target)
    ingest(Ingest(project.lake, project.mapping(project.job(f"{scope}-events")), f"{scope}-events", force=True), [moved])


def _city(project: Project, user: str) -> str | None:
    (found,) = find_profiles(project.lake, "user", user)
    city: str | None = found["city"]
    return city


def _loads(project: Project) -> dict[str, Load]:
    return {load.scope: load for load in current_loads(project.lake).values()}


def test_only_the_loads_of_that_mapping_change(tmp_path: Path) -> None:
    """Both mappings changed; one is rolled out. The other's loads stay, though their raw files are gone."""
    project = _two_projects(tmp_path)
    before = _loads(project)
    shutil.rmtree(project.lake.landing / "amplitude_events/south")
    for mapping in ("northern", "southern"):
        _write(tmp_path, mapping, MAPPING.replace("from: city", "from: town"))
    done = rebuild_from_landing(project, mapping="northern")
    assert (done.kept, [report.job for report in done.imports], done.build.profiles) == (1, ["north-events"], 2)
    assert (_city(project, "north-1"), _city(project, "south-1")) == ("Rome", "Oslo")
    after = _loads(project)
    assert before["south"].mapping == after["south"].mapping != after["north"].mapping
    assert (before["south"].attempt, before["south"].committed_at) == (after["south"].attempt, after["south"].committed_at)
    with pytest.raises(ConfigurationError, match="raw files are gone"):
        rebuild_from_landing(project)
    assert _city(project, "south-1") == "Oslo", "a refused rebuild leaves everything as it was"


def test_a_damaged_raw_file_is_to_be_imported_again(tmp_path: Path) -> None:
    """Running the rebuild again, as after a download, would not help."""
    project = _two_projects(tmp_path)
    (member,) = (project.lake.landing / "amplitude_events/south").rglob("0.json")
    member.write_bytes(b"\x1f\x8b\x08 cut")
    with pytest.raises(DataError, match=r"south-events, member 0\.json(.|\n)*again with --force, then rebuild"):
        rebuild_from_landing(project)
    assert _city(project, "south-1") == "Oslo"


def test_a_new_field_is_empty_where_loads_were_kept(tmp_path: Path) -> None:
    project = _two_projects(tmp_path)
    _write(tmp_path, "northern", MAPPING + "  - {field: town, from: town, kind: string}\n")
    rebuild_from_landing(project, mapping="northern")
    assert [find_profiles(project.lake, "user", user)[0]["town"] for user in ("north-1", "south-1")] == ["Rome", None]


def test_a_broken_mapping_elsewhere_and_loads_without_a_job_do_not_matter(tmp_path: Path) -> None:
    project = _two_projects(tmp_path)
    _write(tmp_path, "southern", "nonsense")
    assert rebuild_from_landing(project, mapping="northern").kept == 1
    text = "\n".join(line for line in TWO_PROJECTS.splitlines() if "south-events" not in line)
    (tmp_path / "jobs.yaml").write_text(text)
    project = Project(tmp_path / "jobs.yaml", load_jobs(tmp_path / "jobs.yaml"))
    assert rebuild_from_landing(project, mapping="northern").kept == 1
    assert _city(project, "south-1") == "Oslo"


@pytest.mark.parametrize(
    "change", [("kind: string}\n  - {field: city", "kind: string}\n  - {merge: oldest, field: city"), ("by: [user]", "by: [user, city]")]
)
def test_a_change_that_kept_fragments_cannot_follow_is_refused(change: tuple[str, str], tmp_path: Path) -> None:
    project = _two_projects(tmp_path)
    text = MAPPING.replace(*change)
    assert text != MAPPING
    _write(tmp_path, "northern", text)
    before = _loads(project)
    with pytest.raises(ConfigurationError, match="stored fragments cannot follow") as caught:
        rebuild_from_landing(project, mapping="northern")
    assert caught.value.next_step is not None
    assert caught.value.next_step.startswith("run the whole `profilemill rebuild --from landing`")
    assert _loads(project) == before
    _write(tmp_path, "southern", text)
    assert rebuild_from_landing(project).kept == 0, "the whole rebuild takes it"


def test_without_kept_loads_of_the_stream_any_change_goes(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """From the command line: events change how a field merges; the cohorts' raw files are not even there."""
    write_jobs(tmp_path, sandbox.url)
    assert profilemill(tmp_path, "run", "shop-events", "shop-cohorts", *WINDOW).returncode == 0
    before = published(tmp_path)
    shutil.rmtree(tmp_path / "lake/landing/amplitude_cohorts")
    same = profilemill(tmp_path, "rebuild", "--from", "landing", "--mapping", "amplitude_events")
    assert same.returncode == 0, same.stderr
    assert "1 load of other mappings kept as it was" in same.stdout
    assert published(tmp_path) == before
    shipped = load_mapping("amplitude_events", [Path(__file__).parent.parent.parent / "mappings"])
    assert shipped.path is not None
    (tmp_path / "mappings").mkdir()
    row = "event_time)', kind: date"
    text = shipped.path.read_text()
    assert row in text
    (tmp_path / "mappings/amplitude_events.yaml").write_text(text.replace(row, row + ", merge: min"))
    refused = profilemill(tmp_path, "run", "shop-events", *WINDOW, "--force")
    assert (refused.returncode, "run `profilemill rebuild --from landing`" in refused.stderr) == (2, True)
    changed = profilemill(tmp_path, "rebuild", "--from", "landing", "--mapping", "amplitude_events")
    assert changed.returncode == 0, changed.stderr
    after = published(tmp_path)["files"]
    times = [(before["files"][name]["amplitude_event_time"], profile["amplitude_event_time"]) for name, profile in after.items()]
    assert all(first <= last for last, first in times if last is not None)
    assert any(first < last for last, first in times if last is not None)
    compacted = profilemill(tmp_path, "compact")
    assert compacted.returncode == 0, compacted.stderr
    again = profilemill(tmp_path, "run", "shop-events", "shop-cohorts", *WINDOW, "--json")
    assert again.returncode == 0, again.stderr
    assert '"loaded": []' in again.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from", "landing", "--mapping", "amplitude_event"), "did you mean 'amplitude_events'?"),
        (("--from", "landing", "--mapping", "other"), "mappings of the jobs: amplitude_cohorts, amplitude_events"),
        (("--mapping", "amplitude_events"), "add --from landing"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    write_jobs(tmp_path, "http://127.0.0.1:1")
    done = profilemill(tmp_path, "rebuild", *arguments)
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "lake").exists()


def test_an_import_beside_it_is_not_lost(sandbox: RunningSandbox, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write_jobs(whole, sandbox.url)
    assert profilemill(whole, "run", "shop-events", "shop-cohorts", *WINDOW).returncode == 0
    write_jobs(tmp_path, sandbox.url)
    assert profilemill(tmp_path, "run", "shop-events", "--from", "2022-11-21T00", "--to", "2022-11-21T12").returncode == 0
    rebuild = command("rebuild", "--from", "landing", "--mapping", "amplitude_cohorts")
    rebuilding = subprocess.Popen(rebuild, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    imported = profilemill(tmp_path, "run", "shop-events", "shop-cohorts", "--from", "2022-11-21T12", "--to", "2022-11-22T00")
    assert imported.returncode == 0, imported.stderr
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0, said
    last = profilemill(tmp_path, "run", "shop-events", "shop-cohorts", *WINDOW, "--json")
    assert last.returncode == 0, last.stderr
    assert '"loaded": []' in last.stdout
    assert published(tmp_path) == published(whole)


def test_kills_change_nothing(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Killed at any moment, the profiles are those from before; the same command again goes through."""
    write_jobs(tmp_path, sandbox.url)
    assert profilemill(tmp_path, "run", "shop-events", "shop-cohorts", *WINDOW).returncode == 0
    expected = published(tmp_path)
    rebuild = ("rebuild", "--from", "landing", "--mapping", "amplitude_cohorts")
    begin = time.monotonic()
    assert profilemill(tmp_path, *rebuild).returncode == 0
    duration = time.monotonic() - begin
    random_ = random.Random(SEED)
    for _ in range(KILLS):
        process = subprocess.Popen(command(*rebuild), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=random_.uniform(0.3, 1.0) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert published(tmp_path) == expected
        again = profilemill(tmp_path, "run", "shop-events", *WINDOW)
        assert again.returncode == 0, again.stderr
        assert published(tmp_path) == expected
    assert profilemill(tmp_path, *rebuild).returncode == 0
    assert published(tmp_path) == expected


def test_loads_taken_over_twice_follow_their_replacement(tmp_path: Path) -> None:
    """Imports beside a rebuild: a load that was taken over is replaced, another one is new, a third stays."""
    lake, beside, mapping = Lake(tmp_path / "lake"), Lake(tmp_path / "beside"), lakes.mapping_in(tmp_path)
    beside.ensure_writable()
    people = [{"user": f"u{n}", "device": f"d{n}", "time": n, "city": "A", "props": {"n": str(n)}, "type": "buy"} for n in range(5)]
    lakes.load(lake, mapping, {0: people[:2], 1: people[2:3]})
    assert len(keep_loads(lake, beside, "another", lambda load: True)) == 2
    build_profiles(beside)
    assert keep_loads(lake, beside, "another", lambda load: True) == []
    lakes.load(lake, mapping, {0: people[1:2], 2: people[3:]})
    build_profiles(lake)
    assert len(keep_loads(lake, beside, "another", lambda load: True)) == 2
    build_profiles(beside)
    assert lakes.read(beside) == lakes.read(lake) == profiles_of(people[1:])
    assert stream_fields(beside) == stream_fields(lake)
    attempts = {load.attempt for load in current_loads(lake).values()}
    for table in (beside.stream("amplitude_events"), beside.fragments("amplitude_events")):
        assert {attempt_of(file) for file in files_of(table)} == attempts
    with beside.workspace() as (connection, _):
        source = beside.stream("amplitude_events")
        files = ", ".join(f"'{source.path / file.path}'" for file in files_of(source))
        (counted,) = rows(connection, f"SELECT count(*) AS n FROM read_parquet([{files}])")
    assert counted["n"] == 4
