"""The default event mapping, compiled, beside the same SELECT written by hand: CPU seconds in one run, as a ratio.

    python benchmarks/mapping.py [--events 100000] [--rounds 5]

Both read the same table of JSON texts and make a table of the mapping's 43 fields; the compiled one also makes what a
load needs (record time, key, flags of values that could not be read), shown apart. The hand-written one reads numbers, dates and
properties as somebody would who knows the data: its properties are flat. Checked: the two give equal rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from by_hand import columns_of

from etl.engines.local import Connection, arrow, connect
from etl.engines.sql import identifier, quote
from etl.mapping import Mapping, load_mapping, udfs
from etl.mapping.plan import plan
from etl.sandbox.data import SampleSpec, export_members
from etl.settings import packaged_mappings


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    connection = connect()
    udfs.register(connection)
    _load(connection, given.events)
    mapping = load_mapping("amplitude_events", [packaged_mappings()])
    # As a load runs it first; where a line is no JSON it runs again with a look at each line.
    whole = plan(mapping).query("records", all_json=True)
    names = ", ".join(identifier(field.name) for field in mapping.fields)
    queries = {
        "by hand": _by_hand(mapping),
        "compiled": f"SELECT {names} FROM ({whole})",
        "compiled, with what a load needs": whole,
    }
    different = arrow(connection, f"SELECT count(*) AS n FROM (({queries['by hand']}) EXCEPT ALL ({queries['compiled']}))")["n"][0].as_py()
    print(f"{given.events:,} events, {given.rounds} rounds in turn; rows that differ: {different:,}")
    taken: dict[str, list[float]] = {name: [] for name in queries}
    for _ in range(given.rounds):
        for name, query in queries.items():
            taken[name].append(_cpu(lambda query=query: connection.execute(f"CREATE OR REPLACE TEMP TABLE made AS {query}")))
    base = statistics.median(taken["by hand"])
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{name:<34} {middle:6.2f} CPU s   {middle / base:5.2f} x")


def _load(connection: Connection, events: int) -> None:
    lines = []
    for _, members in export_members(SampleSpec(events=events, people=max(200, events // 20), broken_lines=0)):
        lines += [json.dumps(_flat(json.loads(line))) for line in members if line.strip()]
    count = len(lines)
    table = {"load_ix": pa.array([0] * count, pa.int32()), "member_ix": pa.array([0] * count, pa.int32())}
    connection.register("incoming", pa.table({**table, "line": pa.array(range(count), pa.int64()), "text": lines}))
    connection.execute("CREATE TEMP TABLE records AS SELECT * FROM incoming")
    times = pa.array([datetime(2022, 11, 21, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    connection.register("loads", pa.table({"load_ix": pa.array([0], pa.int32()), "fallback_time": times}))


def _flat(event: dict[str, object]) -> dict[str, object]:
    for name in ("event_properties", "user_properties", "group_properties"):
        members = event.get(name)
        if isinstance(members, dict):
            kept = {key: value for key, value in members.items() if value is not None and not isinstance(value, dict | list | float)}
            event[name] = kept
    if isinstance(event.get("amplitude_attribution_ids"), list):
        event["amplitude_attribution_ids"] = None
    return event


def _by_hand(mapping: Mapping) -> str:
    columns, fields = columns_of(mapping, "r.")
    selected = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in fields.items())
    return f"SELECT {selected} FROM (SELECT from_json(text, {quote(json.dumps(columns))}) AS r FROM records)"


def _cpu(action: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
