"""Whatever happens to loads and builds, profiles are what a plain computation over the records in force gives."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from etl.lake.layers import Sizes, is_folded
from etl.lake.layout import Lake
from etl.lake.tables import files_of
from etl.pipeline.upkeep import compact
from etl.profiles.fold import fold_profiles
from tests.profiles.histories import STREAMS, History
from tests.profiles.lakes import START
from tests.profiles.specs import SPECS, records

EXAMPLES = int(os.environ.get("PROFILEMILL_EXAMPLES", "5"))
LONG_AGO = START.timestamp()

_PEOPLE = st.fixed_dictionaries(
    {
        "user": st.sampled_from([None, None, "u1", "u2", "u3", "anonymous"]),
        "device": st.sampled_from([None, "d1", "d2", "d3", "d4", "0"]),
        "mail": st.sampled_from([None, None, "m1", "m2"]),
        "key": st.sampled_from([None, None, "k1", "k2"]),
    }
)
_RECORD = st.builds(lambda person, values: person | values, _PEOPLE, records())
# 20 hours apart, so that some lie within a day or two of each other and some do not.
_HOURS = st.dictionaries(st.sampled_from([0, 20, 40, 60, 80]), st.lists(_RECORD, max_size=4), min_size=1, max_size=2)
_STREAM = st.sampled_from(sorted(STREAMS))
# Every build folds, some do, or recent files pile up and are made one; rows are worked on together, or cut into ranges.
_SIZES = st.builds(Sizes, st.sampled_from([0.0, 0.5, 1e9, 1e9]), st.sampled_from([2, 100]), st.sampled_from([1, 3, 60_000]))

# Each line by itself, a few, or all that a load has.
_AT_ONCE = st.sampled_from([1, 400, 10**7])


class Histories(RuleBasedStateMachine):
    """Loads of two streams, late ones and replaced ones, builds, compactions, and runs that are broken off or meet each other."""

    @initialize(
        specs=st.lists(st.sampled_from(SPECS), min_size=3, max_size=3, unique=True),
        dedupe=st.sampled_from([None, None, 1, 2]),
        sizes=_SIZES,
        at_once=_AT_ONCE,
    )
    def begin(self, specs: list[Any], dedupe: int | None, sizes: Sizes, at_once: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.history = History(Path(self.folder.name), specs, dedupe, sizes, at_once)

    @rule(stream=_STREAM, hours=_HOURS, build=st.booleans())
    def load(self, stream: str, hours: dict[int, list[Any]], build: bool) -> None:
        self.history.load(stream, hours)
        if build:
            self.build(full=False)

    @rule(full=st.sampled_from([False, False, True]))
    def build(self, full: bool) -> None:
        self.history.build(full=full)
        self.history.check()

    @rule(stream=_STREAM, hours=_HOURS, after=st.integers(0, 20))
    def load_is_broken_off(self, stream: str, hours: dict[int, list[Any]], after: int) -> None:
        self.history.broken_off(after, lambda lake: self.history.load(stream, hours, lake))
        self.history.check_readers()

    @rule(stream=_STREAM, hours=_HOURS, after=st.integers(5, 60))
    def build_is_broken_off(self, stream: str, hours: dict[int, list[Any]], after: int) -> None:
        self.history.load(stream, hours)
        self.history.broken_off(after, self.history.build)
        self.history.check_readers()

    @rule(one=st.tuples(_STREAM, _HOURS), other=st.tuples(_STREAM, _HOURS))
    def two_runs_at_once(self, one: tuple[str, dict[int, list[Any]]], other: tuple[str, dict[int, list[Any]]]) -> None:
        def run(what: tuple[str, dict[int, list[Any]]]) -> None:
            lake = Lake(self.history.lake.root)
            self.history.load(*what, lake)
            self.history.build(lake)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, (one, other)))
        self.build(full=False)

    @rule(sizes=_SIZES)
    def fold_otherwise(self, sizes: Sizes) -> None:
        self.history.sizes = sizes

    @rule(after=st.integers(0, 8))
    def fold_is_broken_off(self, after: int) -> None:
        self.history.broken_off(after, fold_profiles)
        self.history.check_readers()

    @rule()
    def compact_after_a_while(self) -> None:
        """Everything is older than any run: what is not needed goes, and no more."""
        for path in self.history.lake.root.rglob("*"):
            if path.is_file():
                os.utime(path, (LONG_AGO, LONG_AGO))
        compact(self.history.lake)
        assert is_folded(files_of(self.history.lake.profiles)) and is_folded(files_of(self.history.lake.identifiers))
        self.history.check_readers()

    def teardown(self) -> None:
        if hasattr(self, "history"):
            with self.folder:
                self.build(full=False)
                self.history.check_rebuilds()


def test_profiles_are_a_pure_function_of_the_records_in_force() -> None:
    checked = settings(max_examples=EXAMPLES, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Histories, settings=checked)
