"""The default event mapping, compiled, beside the same SELECT written by hand: CPU seconds in one run, as a ratio.

    python benchmarks/mapping.py [--events 100000] [--rounds 5]

All read the same file of JSON lines and make an Arrow table of the mapping's 43 fields. By hand it is DuckDB's `read_json`,
typed as somebody would who knows the data: its properties are flat. The compiled one reads the file as a load does, and once
more without the kernel; what a load needs besides (record time, key, flags of values that could not be read, identifiers)
is shown apart. Checked: all give equal rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from by_hand import columns_of

from etl.engines.local import Connection, arrow, connect, in_order
from etl.engines.sql import identifier, quote
from etl.lake.layout import Lake
from etl.landing.manifest import Landed, LoadId
from etl.landing.readers import blocks, lines
from etl.mapping import Mapping, load_mapping, udfs
from etl.mapping.plan import plan
from etl.pipeline.mapped_records import MAPPED_BYTES, MappedRecords, plans_of
from etl.pipeline.reading import pieces_of
from etl.profiles.fields import of_mapping
from etl.sandbox.data import SampleSpec, export_members
from etl.settings import packaged_mappings

_TIME = datetime(2022, 11, 21, tzinfo=UTC)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    connection = connect()
    udfs.register(connection)
    times = pa.array([_TIME], pa.timestamp("us", tz="UTC"))
    connection.register("loads", pa.table({"load_ix": pa.array([0], pa.int32()), "fallback_time": times}))
    mapping = load_mapping("amplitude_events", [packaged_mappings()])
    fields = [field.name for field in mapping.fields]
    names = ", ".join(map(identifier, fields))
    with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-") as folder:
        path = Path(folder) / "events.json"
        _write(path, given.events)
        candidates: dict[str, Callable[[], pa.Table]] = {
            "by hand": lambda: arrow(connection, _by_hand(mapping, path)),
            "compiled": lambda: _together(_shredded(connection, mapping, path, fields)),
            "compiled, with what a load needs": lambda: _as_a_load(mapping, path, Path(folder)),
            "compiled, without the kernel": lambda: _together(_without_kernel(connection, mapping, path, names)),
        }
        connection.register("expected", candidates["by hand"]())
        for name, run in candidates.items():
            connection.register("made", run())
            different = arrow(connection, f"SELECT count(*) AS n FROM (SELECT {names} FROM expected EXCEPT ALL SELECT {names} FROM made)")[
                "n"
            ][0].as_py()
            print(f"{name:<34} rows that differ: {different:,}")
        taken: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(given.rounds):
            for name, run in candidates.items():
                taken[name].append(_cpu(run))
    print(f"\n{given.events:,} events, {given.rounds} rounds in turn")
    base = statistics.median(taken["by hand"])
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{name:<34} {middle:6.2f} CPU s   {middle / base:5.2f} x")


def _together(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables(list(tables))


def _shredded(connection: Connection, mapping: Mapping, path: Path, fields: list[str]) -> Iterator[pa.Table]:
    how = plan(mapping, shredded=True)
    columns = ", ".join(identifier(name) for name in fields if name not in how.read.names)
    taken: list[pa.Table] = []
    size = 0
    with in_order(connection):
        for piece in chain(pieces_of(_landed(path), 0, how), [None]):
            if piece is not None:
                assert piece.taken is not None
                assert piece.rest.num_rows == 0
                taken.append(piece.taken)
                size += piece.size
            if taken and (piece is None or size >= MAPPED_BYTES):
                records = pa.concat_tables(taken)
                connection.register("records", records)
                found = arrow(connection, f"SELECT {columns}, load_ix, member_ix, line FROM ({how.query('records')})")
                yield how.read.added(found, records).select(fields)
                taken, size = [], 0


def _as_a_load(mapping: Mapping, path: Path, folder: Path) -> pa.Table:
    lake = Lake(folder / "lake")
    with lake.workspace() as workspace:
        udfs.register(workspace[0])
        plans = plans_of(mapping, of_mapping(mapping))
        mapped = MappedRecords(workspace, lake, plans, [_TIME])
        for piece in pieces_of(_landed(path), 0, plans.shredded):
            mapped.add(piece)
        return _together(mapped.finish()[0].drain())


def _landed(path: Path) -> Landed:
    return Landed(LoadId("amplitude_events", "shop", "2022-11-21T00"), "attempt", path.parent, (path.name,), _TIME)


def _without_kernel(connection: Connection, mapping: Mapping, path: Path, names: str) -> Iterator[pa.Table]:
    query = f"SELECT {names} FROM ({plan(mapping).query('records', all_json=True)})"
    before = 0
    for block in blocks(path):
        records = lines(block, 0, 0, before)
        before += records.num_rows
        connection.register("records", records)
        yield arrow(connection, query)


def _write(path: Path, events: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for _, members in export_members(SampleSpec(events=events, people=max(200, events // 20), broken_lines=0)):
            file.writelines(json.dumps(_flat(json.loads(line)), ensure_ascii=False) + "\n" for line in members if line.strip())


def _flat(event: dict[str, object]) -> dict[str, object]:
    for name in ("event_properties", "user_properties", "group_properties"):
        members = event.get(name)
        if isinstance(members, dict):
            kept = {key: value for key, value in members.items() if value is not None and not isinstance(value, dict | list | float)}
            event[name] = kept
    if isinstance(event.get("amplitude_attribution_ids"), list):
        event["amplitude_attribution_ids"] = None
    return event


def _by_hand(mapping: Mapping, path: Path) -> str:
    columns, fields = columns_of(mapping, "")
    selected = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in fields.items())
    spec = ", ".join(f"{quote(name)}: {quote(type_)}" for name, type_ in columns.items())
    options = f"format = 'newline_delimited', records = 'true', auto_detect = false, ignore_errors = true, columns = {{{spec}}}"
    return f"SELECT {selected} FROM read_json({quote(str(path))}, {options})"


def _cpu(action: Callable[[], pa.Table]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
