"""Lines that the kernel takes become the rows that they become without it; whatever it does not take is left over."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.engines import shred
from etl.engines.kernel import is_built
from etl.engines.local import arrow, connect, rows
from etl.landing.readers import line_starts, lines, text_blocks
from etl.mapping import Mapping, load_mapping, udfs
from etl.mapping.check import check_expression, check_field, gives
from etl.mapping.kinds import KINDS, Kind
from etl.mapping.messages import ExpressionError
from etl.mapping.model import Expression, Field, Source, default_merge
from etl.mapping.parser import parse
from etl.mapping.plan import plan, shredded_table
from etl.mapping.tree import Node
from etl.mapping.write import write
from etl.sandbox.data import SampleSpec, export_members
from etl.settings import packaged_mappings
from tests.mapping.trees import RECORDS, TREES

EXAMPLES = int(os.environ.get("PROFILEMILL_EXAMPLES", "25"))
pytestmark = pytest.mark.timeout(max(600, 30 * EXAMPLES))
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
EVENTS = load_mapping("amplitude_events", [packaged_mappings()])


def _taken_and_odd(mapping: Mapping, data: bytes, folder: Path) -> tuple[int, int]:
    """Compares the rows of all taken lines with those of the slow way; how many were taken, and how many not."""
    connection = connect()
    try:
        udfs.register(connection)
        times = pa.array([NOW], pa.timestamp("us", tz="UTC"))
        connection.register("loads", pa.table({"load_ix": pa.array([0], pa.int32()), "fallback_time": times}))
        path = folder / "member.json"
        path.write_bytes(data)
        fast, odd = {}, 0
        how = plan(mapping, shredded=True)
        assert how.wanted is not None
        for block in text_blocks(path, size=64 * 1024):
            found = shred.shred(block.data, block.starts, how.wanted)
            numbers = np.arange(block.before + 1, block.before + len(found.odd) + 1)
            odd += int(found.odd.sum())
            count = len(found.lines)
            columns = {
                "load_ix": [0] * count,
                "member_ix": [0] * count,
                "line": numbers[~found.odd],
                "text": found.lines,
                "fallback_time": [NOW] * count,
            }
            table = shredded_table(how, found, {name: pa.array(column) for name, column in columns.items()})
            for column in table.columns:
                column.validate(full=True)
            connection.register("taken", table)
            mapped = arrow(connection, how.query("taken", with_misfits=True))
            fast |= {row["line"]: row for row in mapped.to_pylist()}
            # The same with what needs no statement added to what does, in whatever order that comes and without some of it.
            shuffled = arrow(
                connection, f"SELECT * FROM ({how.query('taken', with_misfits=True, without=how.read.names)}) ORDER BY hash(line)"
            )
            some = shuffled.slice(0, count - count // 4)
            for row in how.read.added(some, table).select(mapped.column_names).to_pylist():
                assert _comparable(row) == _comparable(fast[row["line"]])
            for line in found.lines.to_pylist():
                assert isinstance(json.loads(line), dict)
        connection.register("records", lines(data, 0, 0))
        slow = {row["line"]: row for row in rows(connection, plan(mapping).query("records", with_misfits=True))}
        for number, row in fast.items():
            assert _comparable(row) == _comparable(slow[number]), number
        return len(fast), odd
    finally:
        connection.close()


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Maps as dicts, and flags that are null as those that are false."""
    found = {}
    for name, value in row.items():
        is_map = isinstance(value, list) and value and isinstance(value[0], tuple)
        found[name] = repr(bool(value) if name.startswith(("_misfit_", "_short_")) else dict(value) if is_map else value)
    return found


def _fields(trees: list[tuple[Node, Kind]]) -> tuple[Field, ...]:
    fields = []
    for number, (tree, kind) in enumerate(trees):
        try:
            node = parse(write(tree))
            check_expression(node)
        except ExpressionError:
            continue
        try:
            check_field(node, kind, default_merge(node, kind), "")
        except ExpressionError:
            kind = KINDS[gives(node)] if gives(node) in KINDS else KINDS["string"]
        fields.append(Field(f"f{number}", (Source(Expression(write(node), node)),), kind, default_merge(node, kind)))
    return tuple(fields)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(TREES, st.sampled_from(list(KINDS.values()))), min_size=1, max_size=8),
    st.lists(RECORDS, min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_any_mapping_of_any_records(
    tmp_path_factory: pytest.TempPathFactory,
    trees: list[tuple[Node, Kind]],
    records: list[dict[str, Any]],
    ascii_: bool,
    separators: tuple[str, str],
) -> None:
    fields = _fields(trees)
    if fields:
        data = b"".join(json.dumps(one, ensure_ascii=ascii_, separators=separators).encode("utf-8", "replace") + b"\n" for one in records)
        _taken_and_odd(Mapping("trial", "trial", fields), data, tmp_path_factory.mktemp("shredded"))


_TEXTS = """true|F|007|-0|+5|5.|.5|1e3| 7||2022-11-21 15:42:30.394000|2022-11-21 15:42:30|2022-02-30 00:00:00|2022-11-21 15:42:30.3
2024-02-29 23:59:59.999999|2023-02-29 00:00:00.000000|1000-01-01 00:00:00|0999-01-01 00:00:00|2022-11-21 24:00:00|0.1|-2.50|12""".replace(
    "\n", "|"
)
_NUMBERS = [0.1, 1.0, -0.0, 12.5, 1e-7, 1e21, 1.5e300, 100.0, -37.25, 1e15, 123456789012345.6, 2**63, 2**63 - 1, -(2**63), 10**18, 5]
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(_NUMBERS)
    | st.text(max_size=14)
    | st.sampled_from(_TEXTS.split("|"))
)
_NAMES = st.text(max_size=5) | st.sampled_from(["a", "a.b", "b", "a[0]"])
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12)
_KEYS = sorted({key for source in (plan(EVENTS, shredded=True).wanted,) if source for key in source.uses})
_EVENTS = st.dictionaries(st.sampled_from([*_KEYS, "event_properties.x", "extra", "ünwanted"]), _VALUES, max_size=12)


@settings(deadline=None, max_examples=EXAMPLES * 4, suppress_health_check=list(HealthCheck))
@given(st.lists(_EVENTS, min_size=1, max_size=12), st.booleans(), st.sampled_from([(",", ":"), (", ", " : ")]))
def test_the_event_mapping_of_odd_events(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]], ascii_: bool, separators: tuple[str, str]
) -> None:
    data = b"".join(json.dumps(one, ensure_ascii=ascii_, separators=separators).encode("utf-8", "replace") + b"\n" for one in events)
    _taken_and_odd(EVENTS, data, tmp_path_factory.mktemp("shredded"))


def _sample(events: int) -> list[bytes]:
    spec = SampleSpec(events=events, people=50, broken_lines=0.01)
    return [line.rstrip(b"\n") for _, members in export_members(spec) for line in members if line.strip()]


def test_most_events_are_taken(tmp_path: Path) -> None:
    found = _sample(2000)
    taken, odd = _taken_and_odd(EVENTS, b"\xef\xbb\xbf" + b"\n".join(found), tmp_path)
    assert taken + odd == len(found)
    assert odd < 0.03 * len(found)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_lines(seed: int, tmp_path: Path) -> None:
    """Bytes replaced, removed and put in at random: most such lines are no JSON any more, and none of those is taken."""
    chance = random.Random(seed)
    damaged = []
    for line in _sample(300):
        changed = bytearray(line)
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(changed))
            what = bytes([chance.choice(b'"\\{}[],:0e-.tn \t\x00\xff\xc3u')])
            changed[at : at + chance.choice([0, 1, 1, 3])] = chance.choice([b"", what, what * 2])
        damaged.append(bytes(changed).replace(b"\n", b""))
    _taken_and_odd(EVENTS, b"\n".join(damaged), tmp_path)


@pytest.mark.parametrize(("count", "enough"), [(1024, True), (1025, False)])
def test_more_names_than_there_is_room_for_are_known_beforehand(count: int, enough: bool) -> None:
    wanted = shred.Wanted({f"n{number}": shred.Use.TEXT for number in range(count)})
    assert shred.takes(wanted) is enough
    block, starts = b'{"n0":"a","n1023":7}\n', np.array([0, 21], np.int64)
    if enough:
        found = shred.shred(block, starts, wanted)
        assert (found.texts["n0"].to_pylist(), found.texts["n1023"].to_pylist(), found.texts["n5"].to_pylist()) == (["a"], ["7"], [None])
    else:
        with pytest.raises(ValueError, match="1025 names"):
            shred.shred(block, starts, wanted)


@pytest.mark.parametrize("kind", ["int", "number", "bool", "date", "string", "map[string]intsum"])
@pytest.mark.parametrize("name", ["p", "`p.q`", "p.q", "`p.q.r`", "`a[0]`"])
def test_names_that_may_be_read_in_several_ways(name: str, kind: str, tmp_path: Path) -> None:
    """Each record has the value elsewhere: behind the name as it stands, inside an object, in a list."""
    text = f"valuect({name})" if kind.startswith("map") else name
    node, as_ = parse(text), KINDS[kind]
    field = Field("found", (Source(Expression(text, node)),), as_, default_merge(node, as_))
    values = [1, True, "2022-11-21 15:42:30", "x", [1, 1], None]
    places: list[Callable[[Any], dict[str, Any]]] = [
        lambda one: {"p": one, "a[0]": one},
        lambda one: {"p.q": one, "a": [one]},
        lambda one: {"p": {"q": one, "q.r": one}},
        lambda one: {"p": {"q": {"r": one}}},
        lambda one: {"p.q": {"r": one}},
        lambda one: {"p.q.r": one, "p": {"q": 7}},
    ]
    data = b"".join(json.dumps(place(one)).encode() + b"\n" for place in places for one in values)
    _taken_and_odd(Mapping("trial", "trial", (field,)), data, tmp_path)


@pytest.mark.parametrize("count", [3, 256, 257, 600])
def test_names_may_come_in_any_order_and_number(count: int) -> None:
    """The kernel expects the names of the record before."""
    names = [f"name{number}" for number in range(count)]
    chance = random.Random(count)
    orders = [names, names, names[::-1], names[: count // 2], chance.sample(names, count), names, ["name", "name00", *names[1:]]]
    lines_ = [json.dumps({name: f"{name}.{n}" for name in order}).encode() + b"\n" for n, order in enumerate(orders)]
    starts = np.cumsum([0, *map(len, lines_)]).astype(np.int64)
    found = shred.shred(b"".join(lines_), starts, shred.Wanted(dict.fromkeys(names, shred.Use.TEXT)))
    assert not found.odd.any()
    for name in names:
        assert found.texts[name].to_pylist() == [f"{name}.{n}" if name in order else None for n, order in enumerate(orders)]


def test_the_kernel_is_built() -> None:
    assert is_built(), "`make setup` builds it"


@given(st.lists(st.binary(max_size=12), max_size=20))
def test_lines_start_where_they_do(some: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in some)
    assert shred.line_starts(data).tolist() == line_starts(data).tolist()
