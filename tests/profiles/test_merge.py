"""Merging is associative and commutative: whatever is merged first, the result is that of all records at once."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.engines.local import Connection, arrow, connect, rows
from etl.engines.sorting import groups_by
from etl.engines.sql import identifier
from etl.mapping.model import merges_of
from etl.profiles.columns import merge_columns
from etl.profiles.fields import ProfileField
from etl.profiles.merge import Times, merge_query, published_column
from etl.profiles.sums import exact_parts, register
from tests.profiles.lakes import START, plain
from tests.profiles.reference import Spec, merged
from tests.profiles.specs import SPECS, records

EXAMPLES = int(os.environ.get("PROFILEMILL_EXAMPLES", "25"))


def fields_of(specs: Sequence[Spec]) -> list[ProfileField]:
    return [ProfileField(spec.name, spec.kind, spec.merge, spec.capacity) for spec in specs]


def test_every_kind_and_operator_is_among_them() -> None:
    """As far as they go together: sums of numbers only, extremes of numbers and dates, counters only add up."""
    there = {(spec.kind, spec.merge) for spec in SPECS}
    numbers = ("int", "number")
    for field in fields_of(SPECS):
        element = field.kind.element or field.kind.name
        for merge in merges_of(field.kind):
            fits = {"sum": element in (*numbers, "intsum"), "count": element == "int", "min": element in (*numbers, "date")}
            fits["max"] = fits["min"]
            if fits.get(merge, True) and (not field.kind.is_counter or merge == "sum"):
                assert (field.kind_name, merge) in there


@pytest.fixture(scope="module")
def connection() -> Connection:
    opened = connect()
    register(opened)
    return opened


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(SPECS), min_size=6, max_size=6, unique=True),
    st.lists(st.tuples(records(), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=10),
)
def test_any_grouping_gives_the_same(connection: Connection, specs: list[Spec], placed: list[tuple[dict[str, Any], int, int]]) -> None:
    """Records by load and by build: loads are merged first, then the loads of each build, then the builds."""
    given_ = [record | {"load": load, "build": (load + build) % 3} for record, load, build in placed]
    fields = fields_of(specs)
    _table(connection, specs, given_)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE loads AS {merge_query('mapped', ['build', 'load'], fields, Times.OF_RECORDS)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE builds AS {merge_query('loads', ['build'], fields, Times.STORED)}")
    for source in ("builds", "loads"):
        connection.execute(f"CREATE OR REPLACE TEMP VIEW everything AS SELECT * EXCLUDE (build), 1 AS one FROM {source}")
        assert _published(connection, specs, merge_query("everything", ["one"], fields, Times.STORED)) == merged(given_, specs)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(SPECS), min_size=6, max_size=6, unique=True),
    st.lists(st.tuples(records(), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_merging_by_columns_is_merging_by_sql(
    connection: Connection, specs: list[Spec], placed: list[tuple[dict[str, Any], int, int]], left_out: int
) -> None:
    """Records first, then what comes of them; also where the arrays are slices of longer ones."""
    given_ = [record | {"load": load, "build": (load + build) % 3} for record, load, build in placed]
    fields = fields_of(specs)
    _table(connection, specs, given_)
    records_ = arrow(connection, "SELECT * FROM mapped").slice(min(left_out, len(given_) - 1))
    loads = _by_columns(connection, records_, ["build", "load"], fields, Times.OF_RECORDS)
    connection.register("sliced", records_)
    assert _state(connection, loads, fields) == _state(
        connection, merge_query("sliced", ["build", "load"], fields, Times.OF_RECORDS), fields
    )
    chunks = pa.concat_tables([loads.slice(0, left_out), loads.slice(left_out)])
    builds = _by_columns(connection, chunks, ["build"], fields, Times.STORED)
    connection.register("loads_made", loads)
    assert _state(connection, builds, fields) == _state(connection, merge_query("loads_made", ["build"], fields, Times.STORED), fields)


def _by_columns(connection: Connection, given_: pa.Table, group: list[str], fields: list[ProfileField], times: Times) -> pa.Table:
    groups = groups_by(given_, group)
    merged_ = merge_columns(connection, given_, groups, fields, times)
    for name in group:
        merged_ = merged_.append_column(name, given_[name].take(pa.array(groups.order[groups.starts])))
    return merged_


def _state(connection: Connection, made: pa.Table | str, fields: list[ProfileField]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Merged rows in an order of theirs, and the types of their columns."""
    table = arrow(connection, made) if isinstance(made, str) else made
    names = sorted(table.column_names)
    table = table.select(names).sort_by([(name, "ascending") for name in names if name in ("build", "load")])
    return table.to_pylist(), {name: str(table.schema.field(name).type) for name in names}


def _table(connection: Connection, specs: list[Spec], given_: list[dict[str, Any]]) -> None:
    """`mapped`: the records as a mapping would give them."""
    arrow_types = {"int": pa.int64(), "number": pa.float64(), "bool": pa.bool_(), "string": pa.string(), "intsum": pa.int64()}
    arrow_types["date"] = pa.timestamp("us", tz="UTC")
    columns: dict[str, pa.Array] = {name: pa.array([one[name] for one in given_]) for name in ("load", "build")}
    columns["_time"] = pa.array([START + timedelta(seconds=one["time"]) for one in given_], arrow_types["date"])
    for spec, field in zip(specs, fields_of(specs), strict=True):
        element = arrow_types[field.kind.element or field.kind.name]
        type_ = pa.map_(pa.string(), element) if field.kind.is_map else pa.list_(element) if field.kind.is_list else element
        values = [one[spec.source] for one in given_]
        columns[spec.name] = pa.array([list(one.items()) if isinstance(one, dict) else one for one in values], type_)
    connection.register("given_records", pa.table(columns))
    connection.execute("CREATE OR REPLACE TEMP TABLE mapped AS SELECT *, _time AS _first, _time AS _last, 1 AS _records FROM given_records")


def _published(connection: Connection, specs: list[Spec], query: str) -> dict[str, Any]:
    names = ", ".join(f"{published_column(field)} AS {identifier(field.name)}" for field in fields_of(specs))
    (row,) = rows(connection, f"SELECT {names} FROM ({query})")
    return {spec.name: plain(spec, row[spec.name]) for spec in specs}


_FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(_FLOATS, max_size=8), st.lists(_FLOATS, max_size=8))
def test_parts_of_parts_are_the_parts_of_all(one: list[float], other: list[float]) -> None:
    together = exact_parts([*exact_parts(one), *exact_parts(other)])
    largest = max(map(abs, [*exact_parts(one), *exact_parts(other), *together]))
    if largest < 1e308:  # beyond, sums stay at the greatest float
        assert together == exact_parts([*one, *other])
        if sum(map(abs, [*one, *other])) < 1e308:  # what fsum can add on its way
            assert together[0] == math.fsum([*one, *other])


def test_sums_beyond_their_range_stay_at_its_end(connection: Connection) -> None:
    most = Spec("whole", "int", "sum", "whole")
    fields = [ProfileField("whole", "int", "sum"), ProfileField("real", "number", "sum")]
    _only(connection, fields, [{"whole": 2**63 - 1, "real": 1e308}, {"whole": 5, "real": 1.5e308}])
    (row,) = rows(connection, f"SELECT whole, real FROM ({merge_query('mapped', ['load'], fields, Times.OF_RECORDS)})")
    assert row == {
        "whole": merged([{"time": 0, "whole": 2**63 - 1}, {"time": 0, "whole": 5}], [most])["whole"],
        "real": 1.7976931348623157e308,
    }


def _only(connection: Connection, fields: Sequence[ProfileField], given_: list[dict[str, Any]]) -> None:
    time = datetime(2024, 1, 1, tzinfo=UTC)
    connection.register("given_records", pa.Table.from_pylist([one | {"load": 1, "_time": time} for one in given_]))
    connection.execute("CREATE OR REPLACE TEMP TABLE mapped AS SELECT *, _time AS _first, _time AS _last, 1 AS _records FROM given_records")
