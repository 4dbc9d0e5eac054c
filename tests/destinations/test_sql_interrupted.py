"""Loads that break off: the connection cut at every statement, the process killed at any moment. The tables then equal a
published version, and the next load brings them to the newest."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from etl.destinations.sql import load_sql
from etl.errors import TransientError
from etl.lake.layout import Lake
from etl.profiles.build import build_profiles
from tests.destinations.contents import Contents, of_database, of_lake
from tests.destinations.cutting import Proxy, proxy_to
from tests.profiles import lakes

pytestmark = pytest.mark.xdist_group("postgres")

KILLS = int(os.environ.get("PROFILEMILL_KILLS", "4"))
SEED = int(os.environ.get("PROFILEMILL_SEED", "11"))
# Forks a loader for every line, so that the imports are paid for once.
FORKS = """
import os, sys
from pathlib import Path
import etl.destinations.sql_postgres
from etl.destinations.sql import load_sql
from etl.lake.layout import Lake
for line in sys.stdin:
    lake, url = line.split()
    child = os.fork()
    if not child:
        load_sql(Lake(Path(lake)), "db", url, "profiles")
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def _versions(folder: Path, people: int) -> tuple[Lake, Lake]:
    """A lake at a build, and the same lake one build later: people are new, changed, and merged away."""
    older, newer = Lake(folder / "older"), Lake(folder / "newer")
    mapping = lakes.mapping_in(folder)
    props = {"x": "y" * 80}
    known = [{"user": f"u{number}", "device": f"d{number}", "time": 1, "city": "Oslo", "props": props} for number in range(people)]
    lakes.load(older, mapping, {0: [*known, {"device": "lonely", "time": 1, "city": "Rome"}]})
    build_profiles(older)
    shutil.copytree(older.root, newer.root)
    devices = {number: "lonely" if number == 7 else f"e{number}" for number in range(7, 2 * people, 5)}
    lakes.load(newer, mapping, {1: [{"user": f"u{number}", "device": device, "time": 2} for number, device in devices.items()]})
    assert build_profiles(newer).merged_away == 1
    return older, newer


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    return _versions(tmp_path_factory.mktemp("versions"), 30)


def test_a_connection_cut_at_any_statement_leaves_the_version_before(versions: tuple[Lake, Lake], postgres: str) -> None:
    older, newer = versions
    before, after = of_lake(older), of_lake(newer)
    with proxy_to(postgres) as proxy:
        statements = _cut_everywhere(proxy, older, postgres, None)
        assert of_database(postgres) == before
        assert statements > 15
        statements = _cut_everywhere(proxy, newer, postgres, before)
        assert of_database(postgres) == after
        assert statements > 25


def _cut_everywhere(proxy: Proxy, lake: Lake, postgres: str, before: Contents | None) -> int:
    """Cuts the load of a lake at its first message, its second, and so on, until one gets through; how many were cut."""
    for number in range(1, 1000):
        proxy.cut_at = number
        try:
            load_sql(lake, "db", proxy.url, "profiles")
        except TransientError:
            assert of_database(postgres) == before
        else:
            assert proxy.seen < number
            return number - 1
    raise AssertionError("every load was cut")


def test_a_commit_whose_answer_is_lost_is_not_loaded_twice(versions: tuple[Lake, Lake], postgres: str) -> None:
    older, _ = versions
    with proxy_to(postgres) as proxy:
        load_sql(older, "db", proxy.url, "profiles", "full")
        load_sql(older, "db", proxy.url, "profiles", "full")
        proxy.cut_at, proxy.swallow = proxy.seen, True
        with pytest.raises(TransientError):
            load_sql(older, "db", proxy.url, "profiles", "full")
        proxy.cut_at = None
        assert of_database(postgres) == of_lake(older)
        assert load_sql(older, "db", proxy.url, "profiles").written == 0


def test_a_killed_process_leaves_one_of_the_two_versions(databases: list[str], tmp_path: Path) -> None:
    random_ = random.Random(SEED)
    versions = _versions(tmp_path, 1500)
    contents = {held.build: held for held in map(of_lake, versions)}
    killed = 0
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as forks:
        for database in databases:
            durations = [_load_and_kill(forks, lake, database, 60)[0] for lake in versions]
            for number in range(KILLS):
                # The older lake is a step back, so everything is loaded; to the newer one, what changed.
                lake, duration = versions[number % 2], durations[number % 2]
                killed += _load_and_kill(forks, lake, database, random_.uniform(0, duration))[1]
                held = of_database(database)
                assert held == contents[held.build]
                load_sql(lake, "db", database, "profiles")
                assert of_database(database) == of_lake(lake)
    assert killed > KILLS / 2


def _load_and_kill(forks: subprocess.Popen[str], lake: Lake, database: str, seconds: float) -> tuple[float, bool]:
    """Loads in a process of its own and kills that after `seconds`; how long it ran, and whether it was killed."""
    assert forks.stdin is not None and forks.stdout is not None
    print(lake.root, database, file=forks.stdin, flush=True)
    child, begin = int(forks.stdout.readline()), time.monotonic()
    timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    timer.start()
    status = int(forks.stdout.readline())
    timer.cancel()
    assert status in (0, signal.SIGKILL)
    return time.monotonic() - begin, status == signal.SIGKILL
