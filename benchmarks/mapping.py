"""The default event mapping, compiled, beside the same SELECT written by hand: CPU seconds in one run, as a ratio.

    python benchmarks/mapping.py [--events 100000] [--rounds 5]

All read the same file of JSON lines and make a table of the mapping's 43 fields. By hand it is DuckDB's `read_json`, typed as
somebody would who knows the data: its properties are flat. The compiled one reads the file as a load does, and once more
without the kernel; what a load needs besides (record time, key, flags of values that could not be read) is shown apart.
Checked: all give equal rows.
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
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from by_hand import columns_of

from etl.engines import shred
from etl.engines.local import Connection, arrow, connect
from etl.engines.sql import identifier, quote
from etl.landing.readers import blocks, lines, text_blocks
from etl.mapping import Mapping, load_mapping, udfs
from etl.mapping.plan import plan, shredded_table
from etl.pipeline.reading import MAPPED_BYTES
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
    names = ", ".join(identifier(field.name) for field in mapping.fields)
    with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-") as folder:
        path = Path(folder) / "events.json"
        _write(path, given.events)
        candidates: dict[str, Callable[[], None]] = {
            "by hand": lambda: _fill(connection, [(None, _by_hand(mapping, path))]),
            "compiled": lambda: _fill(connection, _shredded(mapping, path, names)),
            "compiled, with what a load needs": lambda: _fill(connection, _shredded(mapping, path, "*")),
            "compiled, without the kernel": lambda: _fill(connection, _without_kernel(mapping, path, names)),
        }
        candidates["by hand"]()
        connection.execute("CREATE TEMP TABLE expected AS FROM made")
        for name, run in candidates.items():
            run()
            different = arrow(connection, f"SELECT count(*) AS n FROM (FROM expected EXCEPT ALL SELECT {names} FROM made)")["n"][0].as_py()
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


# A table to be read as `records`, and a query.
Step = tuple[pa.Table | None, str]


def _fill(connection: Connection, steps: Iterable[Step]) -> None:
    """Makes the table `made` of the queries' rows."""
    for number, (records, query) in enumerate(steps):
        if records is not None:
            connection.register("records", records)
        connection.execute(f"INSERT INTO made {query}" if number else f"CREATE OR REPLACE TEMP TABLE made AS {query}")


def _shredded(mapping: Mapping, path: Path, names: str) -> Iterator[Step]:
    how = plan(mapping, shredded=True)
    assert how.wanted is not None
    query = f"SELECT {names} FROM ({how.query('records')})"
    tables: list[pa.Table] = []
    size = 0
    for block in text_blocks(path):
        found = shred.shred(block.data, block.starts, how.wanted)
        assert not found.odd.any()
        numbers = np.arange(block.before + 1, block.before + len(found.odd) + 1)
        zeros, times = pa.array(np.zeros(len(numbers), np.int32)), pa.repeat(pa.scalar(_TIME, pa.timestamp("us", tz="UTC")), len(numbers))
        columns = {"load_ix": zeros, "member_ix": zeros, "line": pa.array(numbers), "text": found.lines, "fallback_time": times}
        tables.append(shredded_table(how, found, columns))
        size += len(block.data)
        if size >= MAPPED_BYTES:
            yield pa.concat_tables(tables), query
            tables, size = [], 0
    if tables:
        yield pa.concat_tables(tables), query


def _without_kernel(mapping: Mapping, path: Path, names: str) -> Iterator[Step]:
    query = f"SELECT {names} FROM ({plan(mapping).query('records', all_json=True)})"
    before = 0
    for block in blocks(path):
        records = lines(block, 0, 0, before)
        before += records.num_rows
        yield records, query


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


def _cpu(action: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
