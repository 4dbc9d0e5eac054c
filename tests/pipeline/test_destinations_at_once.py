"""Two runs that end at the same moment load the same destinations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from etl.pipeline.profiles import load_destination
from etl.pipeline.project import open_project
from etl.profiles.build import build_profiles
from tests.pipeline.projects import write_jobs
from tests.profiles import lakes


def test_two_loads_at_once_leave_the_destination_whole(tmp_path: Path) -> None:
    project = open_project(write_jobs(tmp_path, "http://127.0.0.1:1"))
    record = {"user": "u1", "device": "d1", "time": 1, "city": "A", "props": {}, "type": "buy"}
    lakes.load(project.lake, lakes.mapping_in(tmp_path), {0: [record]})
    build_profiles(project.lake)
    target = tmp_path / "out/profiles"

    def load(number: int) -> None:
        if number % 2:
            (target / "_profilemill.json").unlink(missing_ok=True)  # whoever comes next writes it all anew
        load_destination(project, "files")
        assert len(pd.read_parquet(target)) == 1

    load(0)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, range(24)))
