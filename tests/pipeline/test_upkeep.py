"""Compaction removes only what nobody needs any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

from etl.lake.layout import Lake
from etl.lake.tables import files_of
from etl.pipeline.upkeep import compact
from etl.profiles.build import build_profiles
from tests.profiles import lakes
from tests.profiles.reference import profiles_of


def test_compact_between_a_replacement_and_its_build(tmp_path: Path) -> None:
    """A run that is killed before its build leaves old fragments that the next build has to take out again."""
    lake, mapping = Lake(tmp_path / "lake"), lakes.mapping_in(tmp_path)
    record = {"user": "u1", "device": "d1", "time": 1, "city": "A", "props": {}, "type": "buy"}
    lakes.load(lake, mapping, {0: [record, record]})
    build_profiles(lake)
    fragments = lake.fragments("amplitude_events")
    long_ago = time.time() - 30 * 86400
    for file in files_of(fragments):
        os.utime(fragments.path / file.path, (long_ago, long_ago))
    lakes.load(lake, mapping, {0: [record, record, record]})
    compact(lake)
    build_profiles(lake)
    assert lakes.read(lake) == profiles_of([record, record, record])
