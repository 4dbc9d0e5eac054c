"""Trying a mapping on a file, without a lake."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.local import connect, rows
from etl.engines.sql import identifier
from etl.errors import ConfigurationError
from etl.landing.readers import inflate, lines, texts
from etl.mapping import Mapping, udfs
from etl.mapping.apply import EventMapping
from etl.mapping.plan import NOT_OBJECT, plan
from etl.mapping.values import loads


def map_file(mapping: Mapping, source: Path | None, stdin: bytes = b"") -> tuple[list[dict[str, Any]], list[int]]:
    """Mapped rows of a JSON, JSON-lines or CSV file (gzip or not), in the file's order, and the numbers of the lines
    that are no JSON object. Maps are dicts, missing fields None; of a mapping that gives events it is the events.
    `source` None reads `stdin`."""
    records = read_records(source, stdin)
    if mapping.gives_events:
        return _events(EventMapping(mapping), records)
    connection = connect()
    try:
        udfs.register(connection)
        connection.register("records", records)
        now = pa.array([datetime.now(UTC)], pa.timestamp("us", tz="UTC"))
        connection.register("loads", pa.table({"load_ix": pa.array([0], pa.int32()), "fallback_time": now}))
        columns = ", ".join(["_time", "_key", *(identifier(field.name) for field in mapping.fields)])
        found = rows(connection, f"SELECT {columns} FROM ({plan(mapping).query('records')}) ORDER BY line")
        bad = rows(connection, f"SELECT line FROM records WHERE {NOT_OBJECT} ORDER BY line")
    finally:
        connection.close()
    maps = {field.name for field in mapping.fields if field.kind.is_map}
    made = [{name: dict(value) if name in maps and value is not None else value for name, value in row.items()} for row in found]
    return made, [row["line"] for row in bad]


def read_records(source: Path | None, stdin: bytes = b"") -> pa.Table:
    """The records of such a file, as `landing.readers` has them. Raises ConfigurationError where it cannot be read."""
    try:
        data = stdin if source is None else inflate(source)
    except OSError as error:
        raise ConfigurationError("cannot read the input", value=f"{source}: {error.strerror or error}") from error
    return _records(source.name.removesuffix(".gz") if source else "", data)


def _events(mapping: EventMapping, records: pa.Table) -> tuple[list[dict[str, Any]], list[int]]:
    made: list[dict[str, Any]] = []
    bad: list[int] = []
    now = datetime.now(UTC)
    for line, text in zip(records["line"].to_pylist(), records["text"].to_pylist(), strict=True):
        try:
            record = loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            bad.append(line)
        elif (event := mapping.event(record, now)) is not None:
            made.append(event)
    return made, bad


def explain(mapping: Mapping) -> str:
    """The SQL that the mapping compiles to."""
    return plan(mapping).query("records")


def _records(name: str, data: bytes) -> pa.Table:
    if name.endswith(".csv"):
        return texts(_csv(data), 0, 0)
    try:
        whole = json.loads(data)
    except ValueError:
        return lines(data, 0, 0)
    items = whole if isinstance(whole, list) else [whole]
    return texts(((number, json.dumps(item, ensure_ascii=False)) for number, item in enumerate(items, start=1)), 0, 0)


def _csv(data: bytes) -> Iterator[tuple[int, str]]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    for row in reader:
        yield (
            reader.line_num,
            json.dumps({key: value for key, value in row.items() if key is not None and value != ""}, ensure_ascii=False),
        )
