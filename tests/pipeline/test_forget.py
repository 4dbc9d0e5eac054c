"""Nobody forgotten is found in any byte of the lake or a destination, nor comes back; everybody else stays as they were."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from etl.clients.amplitude import PollPolicy
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.pipeline.cohorts import run_cohorts
from etl.pipeline.events import run_events
from etl.pipeline.forget import Forgotten, forget
from etl.pipeline.forget_loads import Removed
from etl.pipeline.ingest import attempt_folder
from etl.pipeline.profiles import build, load_destination
from etl.pipeline.project import Project, open_project
from etl.pipeline.upkeep import rebuild_from_landing
from etl.profiles.memberships import read_memberships
from etl.profiles.privacy import Suppression
from etl.profiles.published import find_profiles
from etl.reports import ImportReport
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.server import running_sandbox
from etl.windows import Window
from tests.pipeline.projects import command, profilemill, published, write_jobs
from tests.pipeline.shops import FIRST, Shop
from tests.profiles import lakes

WINDOW = Window(datetime(2024, 3, 1, 5, tzinfo=UTC), datetime(2024, 3, 1, 7, tzinfo=UTC))
USER, IDS = "ana-4711-x", ("880011223344", "880055667788")
OTHER = "someone-else"
SHARED = "990099001122"
KILLS = int(os.environ.get("PROFILEMILL_KILLS", "2"))
SEED = int(os.environ.get("PROFILEMILL_SEED", "5"))


def _event(user: str | None, amplitude_id: str, number: int, **more: Any) -> dict[str, Any]:
    event = {
        "uuid": f"00000000-0000-4000-8000-{number:012d}", "amplitude_id": int(amplitude_id), "event_type": f"type {number % 3}",
        "event_time": f"2024-03-01 04:{number % 60:02d}:00.000000", "server_upload_time": "2024-03-01 05:30:00.000000", "city": "Oslo",
    }  # fmt: skip
    return event | ({} if user is None else {"user_id": user}) | more


def _data(folder: Path) -> None:
    """Two hours of events and a cohort: the person by two Amplitude ids, alone, on a shared device, twice in one uuid, in a
    broken line, and named in somebody else's event."""
    first = [_event(USER, IDS[0], 1), _event(None, IDS[0], 2), _event(OTHER, "770077", 3, event_properties={"invited_by": USER})]
    first += [_event(f"user-{number}", f"5500{number}", number) for number in range(10, 20)]
    second = [_event(USER, IDS[1], 4), _event(USER, IDS[1], 4), _event(None, IDS[1], 5), _event(USER, SHARED, 6)]
    second += [_event(OTHER, SHARED, 7, event_time="2024-03-01 05:59:00.000000"), *first[:2], _event("user-10", "550010", 30)]
    broken = f'{{"user_id": "{USER}", "amplitude_id": {IDS[0]}, "event_ty\n{{"user_id": "user-11", "event\n'
    for hour, events in ((5, first), (6, second)):
        path = folder / f"export/1/1_2024-03-01_{hour}#0.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(event) + "\n" for event in events) + broken
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    cohort = {"id": "c1", "name": "Actives", "size": 4, "lastComputed": 1_709_300_000, "archived": False, "published": True}
    (folder / "cohorts.json").write_text(json.dumps({"cohorts": [cohort]}), encoding="utf-8")
    (folder / "cohorts").mkdir()
    rows = [f"{IDS[0]},{USER},Oslo", "550010,user-10,Oslo", f"{IDS[1]},,Oslo", "550011,,Bergen"]
    (folder / "cohorts/c1.csv").write_text("\n".join(["amplitude_id,user_id,city", *rows]) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Place:
    """A project after its first run."""

    folder: Path

    @property
    def project(self) -> Project:
        return dataclasses.replace(open_project(self.folder / "jobs.yaml"), poll=PollPolicy(first=0.05))

    @property
    def lake(self) -> Lake:
        return self.project.lake

    def run(self) -> list[ImportReport]:
        """Imports everything, whether it is loaded or not."""
        events = run_events(self.project, "shop-events", WINDOW, force=True)
        reports = [events, run_cohorts(self.project, "shop-cohorts", force=True)]
        build(self.project)
        self.load()
        return reports

    def load(self) -> None:
        for name in self.project.jobs.destinations:
            load_destination(self.project, name)

    def forget(self, *keys: tuple[str, str], **options: bool) -> Forgotten:
        return forget(self.project, keys, **options)

    def others(self) -> dict[str, Any]:
        """What both destinations show of everybody but the person."""
        found = published(self.folder)
        gone = {id_ for (_, value), id_ in found["identifiers"].items() if value in (USER, *IDS)}
        found["identifiers"] = {key: id_ for key, id_ in found["identifiers"].items() if id_ not in gone}
        for name in ("files", "db"):
            found[name] = {id_: profile for id_, profile in found[name].items() if id_ not in gone}
        return found

    def places_of(self, *needles: str, tops: tuple[str, ...] = ("lake", "out")) -> set[str]:
        """The files that hold one of the texts, packed or not."""
        files = [path for top in tops for path in (self.folder / top).rglob("*") if path.is_file() and not path.is_symlink()]
        assert len(files) > 20
        return {str(path.relative_to(self.folder)) for path in files if any(needle.encode() in _everything(path) for needle in needles)}


def _everything(path: Path) -> bytes:
    raw = path.read_bytes()
    found = [raw]
    if raw.startswith(b"\x1f\x8b"):
        found.append(gzip.decompress(raw))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    elif path.suffix == ".parquet":
        opened = pq.ParquetFile(io.BytesIO(raw))
        found += [str(opened.read().to_pylist()).encode(), str(opened.metadata.to_dict()).encode()]
    return b"\0".join(found)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("forget")
    _data(folder / "data")
    with running_sandbox(SandboxOptions(data=folder / "data", polls_before_ready=0)) as sandbox:
        write_jobs(folder / "project", sandbox.url)
        made = Place(folder / "project")
        made.run()
        made.run()  # superseded attempts and old versions
        yield made


@pytest.fixture
def place(imported: Place, tmp_path: Path) -> Place:
    """A copy, so that a test may change it; the Parquet folder is a link within its own folder."""
    shutil.copytree(imported.folder, tmp_path / "project", symlinks=True)
    return Place(tmp_path / "project")


def test_nothing_is_left_and_nobody_comes_back(place: Place) -> None:
    assert len(place.places_of(USER)) > 5
    others = place.others()
    assert len(others["files"]) == 11
    report = place.forget(("amplitude_id", IDS[1]))
    assert (report.people, report.identifiers) == (1, {"amplitude_id": 3, "amplitude_user_id": 1})
    assert report.loads == Removed(loads=3, lines=12, rows=9, fragments=9, rejects=2, shared=1)
    assert (report.failed, [(one.destination, one.full, one.deleted) for one in report.destinations]) == (
        {},
        [("files", True, 0), ("db", False, 1)],
    )
    assert place.others() == others
    # Of other people: the event that names the person, and one on the device that both used. They stay as they are.
    assert report.mentions == 2
    assert place.places_of(*IDS) == set()
    kept = place.places_of(USER)
    assert kept and all("event" in path or path.startswith(("out/", "lake/profiles")) for path in kept)
    _is_consistent(place)
    before = {load.load: load.digest for load in current_loads(place.lake).values()}
    events, cohorts = place.run()
    assert sorted(events.unchanged) == ["amplitude_events/shop/2024-03-01T05", "amplitude_events/shop/2024-03-01T06"]
    assert (events.shrunk, cohorts.shrunk, cohorts.failed) == ([], [], {})
    assert {load.load: load.digest for load in current_loads(place.lake).values()} == before
    assert (place.places_of(*IDS), place.others()) == (set(), others)
    rebuild_from_landing(place.project)
    place.load()
    assert (place.places_of(*IDS), place.others()) == (set(), others)
    assert all(value not in (USER, *IDS) for _, value in published(place.folder)["identifiers"])
    _is_consistent(place)


def _is_consistent(place: Place) -> None:
    for load in current_loads(place.lake).values():
        assert load.lines == load.records + load.rejects
        assert load.records == load.rows + load.duplicates
    assert sorted(str(row["amplitude_id"]) for row in read_memberships(place.lake)) == ["550010", "550011"]


def test_a_leaver_is_forgotten_and_the_exits_of_others_hold(shop: Shop) -> None:
    shop.cohort("a", [IDS[0], "550010", "550011"], FIRST)
    shop.run()
    shop.cohort("a", ["550011"], FIRST + 10)
    shop.run()
    build(shop.project)
    report = forget(shop.project, [("amplitude_id", IDS[0])])
    assert report.loads == Removed(loads=2, lines=2, rows=2, fragments=2)
    left = [json.loads(load.details)["exits"] for load in current_loads(shop.project.lake).values()]
    assert sorted(left, key=str) == [1, None]
    assert shop.run().replaced == [], "nothing is left to settle"
    assert [shop.membership(member) for member in ("550010", "550011")] == [{"a": False}, {"a": True}]
    assert Place(shop.project.path.parent).places_of(IDS[0], tops=("lake",)) == set()
    assert forget(shop.project, [("amplitude_id", IDS[0])]).loads == Removed()


def test_a_shared_device_stays_nobodys_where_keys_count_once(tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/small.yaml").write_text(lakes.MAPPING, encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text(
        """
lake: ./lake
dedupe_days: 1
authorizations:
  shop: {api_key: key, secret_key: secret}
jobs:
  shop-events: {type: amplitude_events, authorization: shop, mapping: small}
""",
        encoding="utf-8",
    )
    project = open_project(tmp_path / "jobs.yaml")
    rest = {"city": None, "props": {}, "type": "buy"}
    own = {"user": "ana-4711", "device": "shared-device", "time": 1, "key": "k1"} | rest
    other = {"user": "bo", "device": "shared-device", "time": 2, "key": "k2"} | rest
    again = {"user": "bo", "device": "shared-device", "time": 3, "key": "k3"} | rest
    lakes.load(project.lake, project.mapping(project.job("shop-events")), {0: [own, other], 1: [own, other, again]})
    build(project)
    (bo,) = find_profiles(project.lake, "user", "bo")
    assert bo["counts"] == {"buy": 2}
    report = forget(project, [("user", "ana-4711")])
    assert (report.people, report.loads.shared, report.conflicts) == (1, 2, 0)
    assert find_profiles(project.lake, "user", "bo") == [bo]
    assert Place(tmp_path).places_of("ana-4711", tops=("lake",)) == set()
    build(project, full=True)
    assert find_profiles(project.lake, "user", "bo") == [bo]


def test_raw_files_of_superseded_attempts_go(place: Place) -> None:
    """A run that was killed between its commit and its clean-up leaves them."""
    load = next(load for load in current_loads(place.lake).values() if load.stream == "amplitude_events")
    attempt = attempt_folder(place.lake.landing, load)
    shutil.copytree(attempt, place.folder / "kept")
    place.forget(("amplitude_user_id", USER))
    shown = place.others()
    shutil.copytree(place.folder / "kept", attempt)
    place.forget(("amplitude_user_id", USER))
    assert not attempt.exists()
    assert (place.places_of(*IDS), place.others()) == (set(), shown)


def test_a_kill_is_finished_by_the_next_call(place: Place) -> None:
    others = place.others()
    random_ = random.Random(SEED)
    begin = time.monotonic()
    assert profilemill(place.folder, "forget", f"amplitude_user_id={USER}", "--dry-run").returncode == 0
    duration = time.monotonic() - begin
    for _ in range(KILLS):
        arguments = command("forget", f"amplitude_user_id={USER}")
        process = subprocess.Popen(arguments, cwd=place.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=random_.uniform(0.6, 2) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    # Where a kill came after the hashes were stored and before the profile was gone, any other name would do as well.
    place.forget(("amplitude_user_id", USER))
    assert (place.places_of(*IDS), place.others()) == (set(), others)
    assert published(place.folder)["files"].keys() == others["files"].keys()


def test_a_dry_run_tells_and_changes_nothing(place: Place) -> None:
    before = _bytes_of(place)
    report = place.forget(("amplitude_user_id", USER), dry_run=True)
    assert (report.loads.lines, report.loads.rejects, report.identifiers["amplitude_id"]) == (12, 2, 3)
    assert _bytes_of(place) == before


def _bytes_of(place: Place) -> dict[Path, bytes]:
    files = (path for path in place.lake.root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path: path.read_bytes() for path in files}


def test_nothing_printed_or_kept_shows_an_identifier(place: Place) -> None:
    done = profilemill(place.folder, "-v", "forget", "-", stdin=f"amplitude_user_id={USER}\n")
    assert done.returncode == 0, done.stderr
    assert re.search(r"landed lines +12\n", done.stdout), done.stdout
    assert not [name for name in (USER, *IDS) if name in done.stdout + done.stderr]
    state = place.lake.state / "privacy"
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    assert json.loads((state / "suppressed.json").read_text())["namespaces"] == ["amplitude_id", "amplitude_user_id", "profile_id"]
    wrong = profilemill(place.folder, "forget", "amplitude_user=secret-person")
    assert (wrong.returncode, "secret-person" in wrong.stderr) == (2, False)


def test_who_cannot_be_forgotten(place: Place) -> None:
    with pytest.raises(ConfigurationError, match="identifies nobody"):
        place.forget(("amplitude_user_id", "anonymous"))
    assert place.forget(("amplitude_user_id", "never seen")).people == 0


def test_without_its_key_nothing_is_imported(place: Place) -> None:
    place.forget(("amplitude_user_id", "never seen"))
    (place.lake.state / "privacy/key").unlink()
    with pytest.raises(ConfigurationError, match="the key of the suppressed people is missing"):
        place.run()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"user_id": "o\\"neil 1", "amplitude_id": 8800', True),
        ('{"user_id": "o\\"neil 12", "x', False),
        ("1,880011223344,x", True),
        ("8800112233445", False),
    ],
)
def test_broken_lines_are_read_word_by_word(text: str, named: bool) -> None:
    suppression = Suppression(b"k" * 32, frozenset()).with_([("user", 'o"neil 1'), ("id", "880011223344")])
    assert suppression.names(text) is named
