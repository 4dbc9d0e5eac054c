"""What would change if one mapping took the place of another: in its definition, and in the values of raw records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.local import Connection, connect, rows
from etl.engines.sql import identifier
from etl.lake.layout import Lake
from etl.lake.loads import current_loads
from etl.landing.manifest import read_manifest
from etl.landing.members import records_of
from etl.landing.readers import SCHEMA
from etl.mapping import Field, Mapping, udfs
from etl.mapping.apply import EventMapping
from etl.mapping.model import Expression
from etl.mapping.plan import IS_OBJECT, plan
from etl.mapping.values import loads
from etl.pipeline.ingest import attempt_folder
from etl.pipeline.mapping_cases import shown
from etl.pipeline.trial import read_records
from etl.profiles.fields import incompatible, of_mapping
from etl.records import masked

# What the change asks for, by what it does to loads that are there already.
NOTHING, NEW_LOADS, REBUILD, NEXT_FILES = "nothing", "new loads", "rebuild", "next files"

_MOST_EXAMPLES, _LOOKED_AT, _LONGEST_EXAMPLE = 3, 200, 60
_OWN = ("_time", "_key")


@dataclass(frozen=True)
class Change:
    """One property that differs; None where a side has none."""

    what: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class FieldChange:
    """A field that is `added`, `removed` or `changed`, with its properties, or with those that differ."""

    field: str
    status: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Definition:
    """How two definitions differ. `effect` is NOTHING where the mapped values stay the same; NEW_LOADS where what is loaded
    already keeps its values until a rebuild; REBUILD where imports stop until `rebuild --from landing`, for `reasons`;
    NEXT_FILES where a mapping gives events: what is sent on already stays as it is."""

    mapping: tuple[Change, ...]
    fields: tuple[FieldChange, ...]
    effect: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueCounts:
    """A field (or `_time`, `_key`) over all records: its value is `equal` or `changed`, `new` (only there is one) or `gone`,
    or `missing` with both. `examples` are up to three masked pairs that differ; of maps only the keys that do."""

    field: str
    equal: int
    changed: int
    new: int
    gone: int
    missing: int
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.changed or self.new or self.gone)


@dataclass(frozen=True)
class Compared:
    """Both mappings on the same records. `left_out` counts records that only the old one maps, `let_in` those that only the
    new one does; in these every value is gone, or new. `mapped` is how many either maps; the rest stays out of `fields`."""

    source: str
    records: int
    mapped: int
    left_out: int
    let_in: int
    fields: tuple[ValueCounts, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Records:
    """Raw records with the times of their loads; `load_ix` is a place in `times`."""

    table: pa.Table
    times: tuple[datetime, ...]
    source: str


def compare_definitions(old: Mapping, new: Mapping) -> Definition:
    """The differences between two mappings as they are written."""
    properties = [
        Change("stream", old.stream, new.stream),
        Change("into", old.into.lower(), new.into.lower()),
        Change("time", _text(old.time), _text(new.time)),
        Change("key", _text(old.key), _text(new.key)),
        Change("by", ", ".join(old.by) or None, ", ".join(new.by) or None),
        Change("where", _text(old.where), _text(new.where)),
    ]
    of_events = old.gives_events or new.gives_events
    reasons = incompatible(of_mapping(old), of_mapping(new)) if old.stream == new.stream and not of_events else []
    effect = REBUILD if reasons else NOTHING if old.fingerprint == new.fingerprint else NEXT_FILES if of_events else NEW_LOADS
    return Definition(tuple(one for one in properties if one.old != one.new), tuple(_field_changes(old, new)), effect, tuple(reasons))


def _text(expression: Expression | None) -> str | None:
    return None if expression is None else expression.text


def _field_changes(old: Mapping, new: Mapping) -> Iterable[FieldChange]:
    before, now = ({field.name: field for field in mapping.fields} for mapping in (old, new))
    for name in _names(old, new):
        one, other = (_properties(fields[name]) if name in fields else {} for fields in (before, now))
        changes = tuple(Change(what, one.get(what), other.get(what)) for what in {**one, **other} if one.get(what) != other.get(what))
        if changes:
            yield FieldChange(name, "added" if not one else "removed" if not other else "changed", changes)


def _properties(field: Field) -> dict[str, str]:
    """What a field says, without what it leaves out."""
    many = len(field.sources) > 1
    sources = {}
    for number, source in enumerate(field.sources, start=1):
        sources[f"from {number}" if many else "from"] = source.expression.text
        sources |= {f"if {number}" if many else "if": source.guard.text} if source.guard else {}
    return {
        **sources,
        "kind": field.kind.name,
        "merge": field.merge,
        **({"capacity": str(field.capacity)} if field.capacity is not None else {}),
        **({"label": field.label} if field.label else {}),
        **({"description": field.description} if field.description else {}),
        **({"pii": "true"} if field.pii else {}),
    }


def _names(old: Mapping, new: Mapping) -> list[str]:
    """The fields of the new mapping, then those that only the old one has."""
    return list(dict.fromkeys(field.name for mapping in (new, old) for field in mapping.fields))


def records_in(path: Path) -> Records:
    """The records of a JSON, JSON-lines or CSV file (gzip or not). Raises ConfigurationError where it cannot be read."""
    return Records(read_records(path), (datetime.now(UTC),), path.name)


def newest_records(lake: Lake, stream: str, count: int) -> Records:
    """The newest landed records of a stream: of its newest loads, and of the oldest of these the last lines.

    Asks nothing of anybody and writes nothing. Loads whose raw files are gone are passed over.
    """
    lake.ensure_folder()
    loads = sorted((load for load in current_loads(lake).values() if load.stream == stream), key=lambda load: (load.time, load.load))
    tables: list[pa.Table] = []
    times: list[datetime] = []
    missing = count
    while loads and missing > 0:
        load = loads.pop()
        try:
            table = _last(records_of(read_manifest(attempt_folder(lake.landing, load)), len(times)), missing)
        except FileNotFoundError:
            continue
        tables.append(table)
        times.append(load.time)
        missing -= table.num_rows
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    span = f", {times[-1]:%Y-%m-%dT%H} to {times[0]:%Y-%m-%dT%H}" if times else ""
    return Records(table, tuple(times), f"the newest landed of {stream}{span}")


def _last(tables: Iterable[pa.Table], count: int) -> pa.Table:
    """The last rows; no more of the tables is kept at once than is needed for them."""
    kept: list[pa.Table] = []
    for table in tables:
        kept.append(table)
        while sum(one.num_rows for one in kept[1:]) >= count:
            kept.pop(0)
    whole = pa.concat_tables(kept) if kept else SCHEMA.empty_table()
    return whole.slice(max(0, whole.num_rows - count))


def compare_values(old: Mapping, new: Mapping, records: Records) -> Compared:
    """Maps the records with both, and counts field by field what is different. Raises MappingError where only one gives events."""
    if old.gives_events or new.gives_events:
        return _compare_events(EventMapping(old), EventMapping(new), records)
    connection = connect()
    try:
        return _Comparison(connection, old, new, records).run()
    finally:
        connection.close()


def _compare_events(old: EventMapping, new: EventMapping, records: Records) -> Compared:
    """The same for events, which are made one by one."""
    pairs = [(old.values(record, time), new.values(record, time)) for record, time in _objects(records)]
    either = [pair for pair in pairs if pair != (None, None)]
    fields = tuple(
        _counted(name, [(before and before.get(name), now and now.get(name)) for before, now in either])
        for name in _names(old.mapping, new.mapping)
    )
    left_out, let_in = (sum(1 for pair in either if pair[side] is None) for side in (1, 0))
    return Compared(records.source, len(pairs), len(either), left_out, let_in, fields)


def _objects(records: Records) -> Iterable[tuple[dict[str, Any], datetime]]:
    for load, text in zip(records.table["load_ix"].to_pylist(), records.table["text"].to_pylist(), strict=True):
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(record := loads(text), dict):
                yield record, records.times[load]


def _counted(name: str, pairs: Sequence[tuple[Any, Any]]) -> ValueCounts:
    counts = dict.fromkeys(("equal", "changed", "new", "gone", "missing"), 0)
    examples: dict[tuple[str, str], None] = {}
    for one, other in pairs:
        missing = (one is None, other is None)
        same = "equal" if one == other and type(one) is type(other) else "changed"
        what = {(True, True): "missing", (True, False): "new", (False, True): "gone"}.get(missing, same)
        counts[what] += 1
        if what not in ("missing", "equal") and len(examples) < _MOST_EXAMPLES:
            examples[_example(one, False), _example(other, False)] = None
    return ValueCounts(name, **counts, examples=tuple(examples))


class _Comparison:
    """`both` has a row per record that either maps: the old values as `o`, the new ones as `n`."""

    def __init__(self, connection: Connection, old: Mapping, new: Mapping, records: Records) -> None:
        self._connection, self._old, self._new, self._records = connection, old, new, records

    def run(self) -> Compared:
        connection = self._connection
        udfs.register(connection)
        connection.register("records", self._records.table)
        times = pa.array(self._records.times, pa.timestamp("us", tz="UTC"))
        connection.register("loads", pa.table({"load_ix": pa.array(range(len(times)), pa.int32()), "fallback_time": times}))
        for name, mapping in (("o", self._old), ("n", self._new)):
            query = plan(mapping).query("records")
            columns = ", ".join(identifier(one) for one in (*_OWN, *(field.name for field in mapping.fields)))
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT load_ix, member_ix, line, TRUE AS _here, {columns} FROM ({query})")
        names = [*_OWN, *_names(self._old, self._new)]
        pairs = {name: self._pair(name) for name in names}
        counted = [f"count(*) FILTER ({test}) AS {identifier(f'{what} {name}')}" for name in names for what, test in _tests(pairs[name])]
        counted += ["count(*) AS mapped", "count(*) FILTER (n._here IS NULL) AS left_out", "count(*) FILTER (o._here IS NULL) AS let_in"]
        both = "FROM o FULL OUTER JOIN n USING (load_ix, member_ix, line)"
        (row,) = rows(connection, f"SELECT {', '.join(counted)} {both}")
        (records,) = rows(connection, f"SELECT count(*) AS n FROM records WHERE {IS_OBJECT}")
        return Compared(
            source=self._records.source,
            records=records["n"],
            mapped=row["mapped"],
            left_out=row["left_out"],
            let_in=row["let_in"],
            fields=tuple(self._counts(name, row, pairs[name], both) for name in names),
        )

    def _counts(self, name: str, row: dict[str, Any], pair: tuple[str, str], both: str) -> ValueCounts:
        counts = {what: row[f"{what} {name}"] for what, _ in _tests(pair)}
        found = ValueCounts(name, **counts)
        return ValueCounts(name, **counts, examples=self._examples(name, pair, both)) if found.differs else found

    def _examples(self, name: str, pair: tuple[str, str], both: str) -> tuple[tuple[str, str], ...]:
        left, right = pair
        values = rows(
            self._connection,
            f"""SELECT {self._value("o", self._old, name)} AS one, {self._value("n", self._new, name)} AS other {both}
            WHERE {left} IS DISTINCT FROM {right}
            ORDER BY {left} IS NULL OR {right} IS NULL, load_ix, member_ix, line LIMIT {_LOOKED_AT}""",
        )
        texts = [self._shown(name, value["one"], value["other"]) for value in values]
        return tuple(dict.fromkeys(texts))[:_MOST_EXAMPLES]

    def _shown(self, name: str, one: Any, other: Any) -> tuple[str, str]:
        if self._is_map(self._old, name) and self._is_map(self._new, name) and one is not None and other is not None:
            before, now = dict(one), dict(other)
            keys = [key for key in {**before, **now} if before.get(key) != now.get(key) or (key in before) != (key in now)]
            one, other = ({key: side[key] for key in keys if key in side} for side in (before, now))
        else:
            one, other = (dict(side) if self._is_map(mapping, name) and side is not None else side
                          for mapping, side in ((self._old, one), (self._new, other)))  # fmt: skip
        pii = any(field.name == name and field.pii for mapping in (self._old, self._new) for field in mapping.fields)
        return _example(one, pii), _example(other, pii)

    def _is_map(self, mapping: Mapping, name: str) -> bool:
        return any(field.name == name and field.kind.is_map for field in mapping.fields)

    def _value(self, side: str, mapping: Mapping, name: str) -> str:
        has = name in _OWN or any(field.name == name for field in mapping.fields)
        return f"{side}.{identifier(name)}" if has else "NULL"

    def _pair(self, name: str) -> tuple[str, str]:
        """SQL for the two values of a field in a form that compares: the order of keys and members plays no part, and where
        the kinds differ the texts are compared."""
        kinds = [next((field.kind for field in mapping.fields if field.name == name), None) for mapping in (self._old, self._new)]
        texts = None not in kinds and kinds[0] != kinds[1]
        made = []
        for side, mapping, kind in (("o", self._old, kinds[0]), ("n", self._new, kinds[1])):
            value = self._value(side, mapping, name)
            if kind is not None and (kind.is_map or kind.is_list):
                value = f"list_sort(map_entries({value}))" if kind.is_map else f"list_sort({value})"
            made.append(f"CAST({value} AS VARCHAR)" if texts else value)
        return made[0], made[1]


def _example(value: Any, pii: bool) -> str:
    """A value that may be shown to anybody; digits of a date tell nobody apart."""
    if value is None:
        return shown(None)
    if pii:
        return "***"
    return shown(value) if isinstance(value, datetime) else masked(shown(value), _LONGEST_EXAMPLE)


def _tests(pair: tuple[str, str]) -> list[tuple[str, str]]:
    old, new = pair
    return [
        ("equal", f"{old} IS NOT NULL AND {old} IS NOT DISTINCT FROM {new}"),
        ("changed", f"{old} IS NOT NULL AND {new} IS NOT NULL AND {old} IS DISTINCT FROM {new}"),
        ("new", f"{old} IS NULL AND {new} IS NOT NULL"),
        ("gone", f"{old} IS NOT NULL AND {new} IS NULL"),
        ("missing", f"{old} IS NULL AND {new} IS NULL"),
    ]
