"""Loads that break off: the connection cut at every statement, the process killed at any moment. The tables then equal a
published version, and the next load brings them to the newest."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
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
PEOPLE = 1000
LOADER = """
import sys
from pathlib import Path
from etl.destinations.sql import load_sql
from etl.lake.layout import Lake
if sys.argv[2].startswith("postgresql"):
    import etl.destinations.sql_postgres
print("ready", flush=True)
load_sql(Lake(Path(sys.argv[1])), "db", sys.argv[2], "profiles")
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    """A lake at a build, and the same lake one build later: people are new, changed, and merged away."""
    folder = tmp_path_factory.mktemp("versions")
    older, newer = Lake(folder / "older"), Lake(folder / "newer")
    mapping = lakes.mapping_in(folder)
    people = [{"user": f"u{n}", "device": f"d{n}", "time": 1, "city": "Oslo", "props": {"x": secrets.token_hex(40)}} for n in range(PEOPLE)]
    lakes.load(older, mapping, {0: [*people, {"device": "lonely", "time": 1, "city": "Rome"}]})
    build_profiles(older)
    shutil.copytree(older.root, newer.root)
    lakes.load(
        newer,
        mapping,
        {1: [{"user": f"u{n}", "device": "lonely" if n == 7 else f"e{n}", "time": 2, "city": "Rome"} for n in range(7, 2 * PEOPLE, 5)]},
    )
    assert build_profiles(newer).merged_away == 1
    return older, newer


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


def test_a_killed_process_leaves_one_of_the_two_versions(versions: tuple[Lake, Lake], databases: list[str]) -> None:
    random_ = random.Random(SEED)
    contents = {of_lake(lake).build: of_lake(lake) for lake in versions}
    for database in databases:
        durations = []
        for lake in versions:
            begin = time.monotonic()
            load_sql(lake, "db", database, "profiles")
            durations.append(time.monotonic() - begin)
        for number in range(KILLS):
            # The older lake is a step back, so everything is loaded; to the newer one, what changed.
            lake, duration = versions[number % 2], durations[number % 2]
            _kill_within(lake, database, random_.uniform(0, 1.2 * duration))
            held = of_database(database)
            assert held == contents[held.build]
            load_sql(lake, "db", database, "profiles")
            assert of_database(database) == of_lake(lake)


def _kill_within(lake: Lake, database: str, seconds: float) -> None:
    arguments = [sys.executable, "-c", LOADER, str(lake.root), database]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        try:
            assert process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
