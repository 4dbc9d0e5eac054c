"""Runs the tests that stand beside mappings, through the SQL that loads go through.

What is compared is what a profile holds after the case's records and nothing else: they are mapped, a key that stands
twice counts once, and the rest is merged by the mapping's operators, so the order of records plays no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.local import Connection, connect, rows
from etl.engines.sql import identifier
from etl.errors import ConfigurationError
from etl.faults import nearest
from etl.landing.readers import SCHEMA
from etl.mapping import Field, Mapping, find_mapping, load_mapping, udfs
from etl.mapping.apply import EventMapping
from etl.mapping.plan import Plan, plan
from etl.pipeline.mapping_cases import SUFFIX, Case, Expected, beside, read_cases, shown
from etl.pipeline.mapping_outcomes import NOT_NAMED, Difference, Outcome, differences, event_outcome
from etl.profiles import sums
from etl.profiles.fields import StreamFields, of_mapping
from etl.profiles.fragments import identified_query, records_query
from etl.profiles.merge import Times, merge_query, published_column
from etl.profiles.resolve import assign, links_query, nodes_query

_MAPPINGS = (".yaml", ".yml", ".lql")
_LONGEST = 60


@dataclass(frozen=True)
class Tested:
    """What came of one mapping. `file` is None where it has no tests, `error` the faults of either file."""

    mapping: Path
    file: Path | None = None
    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None

    @property
    def failed(self) -> int:
        return sum(1 for one in self.outcomes if one.differences)

    def as_dict(self) -> dict[str, Any]:
        file = None if self.file is None else str(self.file)
        cases = [asdict(one) | {"passed": not one.differences} for one in self.outcomes]
        return {"mapping": str(self.mapping), "file": file, "cases": cases, "failed": self.failed, "error": self.error}


def run_tests(names: Sequence[str], folders: Sequence[Path]) -> list[Tested]:
    """Runs the tests of mappings, given as names, mapping files or test files; without any, of the first folder's.

    Raises ConfigurationError for a name that means nothing. Faults in files stop only their own tests.
    """
    pairs = [_named(name, folders) for name in names] if names else _all_of(folders[0])
    return [_run(mapping, file, folders) for mapping, file in dict.fromkeys(pairs)]


def run_cases(mapping: Mapping, cases: Sequence[Case]) -> list[Outcome]:
    """What comes of each case."""
    if mapping.gives_events:
        ready = EventMapping(mapping)
        return [event_outcome(ready, case) for case in cases]
    connection = connect()
    try:
        return _Run(connection, mapping, cases).outcomes()
    finally:
        connection.close()


def _run(mapping: Path, file: Path, folders: Sequence[Path]) -> Tested:
    if not file.is_file():
        return Tested(mapping)
    try:
        loaded = load_mapping(str(mapping), [mapping.parent, *folders])
        return Tested(mapping, file, tuple(run_cases(loaded, read_cases(file, loaded))))
    except ConfigurationError as error:
        return Tested(mapping, file, error=str(error))


def _named(name: str, folders: Sequence[Path]) -> tuple[Path, Path]:
    if name.endswith(SUFFIX):
        file = Path(name)
        if not file.is_file():
            raise ConfigurationError("there is no such test file", value=name)
        return _tested_by(file), file
    found = find_mapping(name, folders)
    return found, beside(found)


def _all_of(folder: Path) -> list[tuple[Path, Path]]:
    """Every mapping of a folder with its test file, whether that is there or not, and test files that test nothing."""
    files = sorted(path for path in folder.glob("*") if path.suffix in _MAPPINGS) if folder.is_dir() else []
    mappings = [path for path in files if not path.name.endswith(SUFFIX)]
    if not files:
        raise ConfigurationError(
            "there are no mappings here",
            value=str(folder),
            next_step="name a mapping, for example `profilemill mapping test amplitude_events`, or the jobs file with --jobs",
        )
    tests = {beside(path): path for path in reversed(mappings)}
    tests |= {path: _tested_by(path) for path in files if path.name.endswith(SUFFIX) and path not in tests}
    return sorted(((mapping, file) for file, mapping in tests.items()), key=lambda pair: pair[0].name)


def _tested_by(file: Path) -> Path:
    """The mapping beside a test file."""
    stem = file.name.removesuffix(SUFFIX)
    found = next((path for suffix in _MAPPINGS if (path := file.with_name(stem + suffix)).is_file()), None)
    if found is None:
        known = [path.stem for path in file.parent.glob("*") if path.suffix in _MAPPINGS and not path.name.endswith(SUFFIX)]
        raise ConfigurationError(
            f"there is no mapping {stem!r} beside its tests",
            where={"tests": file},
            next_step=nearest(stem, known) or f"name the tests as their mapping: <name>{SUFFIX} beside <name>.yaml or <name>.lql",
        )
    return found


class _Run:
    """The cases of one mapping, all in one statement: `load_ix` is a case, `line` a record of it."""

    def __init__(self, connection: Connection, mapping: Mapping, cases: Sequence[Case]) -> None:
        self._connection, self._mapping, self._cases = connection, mapping, cases
        self._plan: Plan = plan(mapping)
        self._fields: StreamFields = of_mapping(mapping)

    def outcomes(self) -> list[Outcome]:
        self._map()
        names = ", ".join(f"{published_column(field)} AS {identifier(field.name)}" for field in self._fields.fields)
        query = f"SELECT load_ix, {names} FROM ({merge_query('identified', ['load_ix'], self._fields.fields, Times.OF_RECORDS)})"
        merged = {row["load_ix"]: row for row in rows(self._connection, query)}
        first = {row["load_ix"]: row for row in rows(self._connection, "SELECT load_ix, _time, _key FROM identified WHERE line = 1")}
        return [
            Outcome(case.name, case.line, tuple(self._differences(ix, case, merged.get(ix), first.get(ix, {}))))
            for ix, case in enumerate(self._cases)
        ]

    def _map(self) -> None:
        connection = self._connection
        udfs.register(connection)
        sums.register(connection)
        texts = [(ix, line, text) for ix, case in enumerate(self._cases) for line, text in enumerate(case.records, start=1)]
        columns = [[ix for ix, _, _ in texts], [0] * len(texts), [line for _, line, _ in texts], [text for _, _, text in texts]]
        connection.register("records", pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA))
        times = pa.array([case.time for case in self._cases], pa.timestamp("us", tz="UTC"))
        connection.register("loads", pa.table({"load_ix": pa.array(range(len(self._cases)), pa.int32()), "fallback_time": times}))
        last = "_key IS NULL OR line = max(line) OVER (PARTITION BY load_ix, _key)"
        connection.execute(f"CREATE TEMP TABLE mapped AS SELECT * FROM ({self._plan.query('records')}) QUALIFY {last}")
        identified = f"({identified_query('mapped', self._fields)})"
        connection.execute(f"CREATE TEMP TABLE identified AS {records_query(identified)}")

    def _differences(self, ix: int, case: Case, merged: dict[str, Any] | None, first: dict[str, Any]) -> Iterator[Difference]:
        condition = self._mapping.where
        if case.skipped:
            if merged is not None:
                why = f"`where` is true: {condition.text}" if condition else "the mapping has no `where`"
                yield Difference("record", "left out", "mapped", why)
            return
        if merged is None:
            yield Difference("record", "mapped", "left out", f"`where` is not true: {condition.text}" if condition else None)
            return
        people = self._people(ix) if len(case.records) > 1 else []
        if len(people) > 1:
            yield Difference("records", "one person", f"{len(people)} people: {', '.join(people)}", "their identifiers are not linked")
            return
        if case.message_time is not None and first["_time"] != case.message_time:
            yield Difference("time", shown(case.message_time), shown(first["_time"]))
        if case.key is not None and first["_key"] != case.key:
            yield Difference("key", case.key, shown(first["_key"]))
        for one in case.expected:
            yield from self._compared(ix, one, merged[one.field])
        named = {one.field for one in case.expected}
        for field in self._mapping.fields:
            if case.exact and field.name not in named and merged[field.name] is not None:
                yield Difference(field.name, NOT_NAMED, shown(_plain(field, merged[field.name])))

    def _compared(self, ix: int, expected: Expected, raw: Any) -> Iterator[Difference]:
        field = self._mapping.field(expected.field)
        wanted, got = expected.value, _plain(field, raw)
        if wanted is not None and field.kind.is_list and not field.kind.keeps_order:
            wanted = sorted(set(wanted))
        yield from differences(field.name, wanted, got, lambda: self._why(ix, field))

    def _why(self, ix: int, field: Field) -> str:
        """Why a field has no value: its guards, what could not be read, or nothing to read."""
        if field.name in self._plan.guarded:
            opened = rows(self._connection, f"SELECT 1 FROM mapped WHERE load_ix = {ix} AND ({self._plan.guarded[field.name]})")
            if not opened:
                guards = " nor ".join(source.guard.text for source in field.sources if source.guard)
                return f"its `if` is not true: {guards}"
        if field.name in self._plan.misfits and (text := self._unreadable(ix, field)) is not None:
            return f"{text!r} could not be read as {field.kind.name}"
        return f"nothing there for {' or '.join(source.expression.text for source in field.sources)}"

    def _unreadable(self, ix: int, field: Field) -> str | None:
        misfits = f"SELECT load_ix, line FROM mapped WHERE load_ix = {ix} AND {identifier('_misfit_' + field.name)}"
        chosen = f"(SELECT * FROM records SEMI JOIN ({misfits}) USING (load_ix, line))"
        found = rows(self._connection, f"SELECT * FROM ({self._plan.raws(chosen, [field.name])}) ORDER BY line LIMIT 1")
        return str(found[0][field.name])[:_LONGEST] if found else None

    def _people(self, ix: int) -> list[str]:
        """An identifier of each person that the records of a case belong to; records without one are anybody's."""
        by = self._fields.by
        if not by:
            return []
        source = f"(SELECT * FROM identified WHERE load_ix = {ix})"
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE id_nodes AS {nodes_query(source, by)}")
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE id_links AS {links_query(source, by)}")
        assign(self._connection, by)
        query = "SELECT min(namespace || '=' || value) AS one FROM assigned GROUP BY profile_id ORDER BY one"
        return [row["one"] for row in rows(self._connection, query)]


def _plain(field: Field, value: Any) -> Any:
    """A value of the merged row as cases have it; an empty map or list is missing."""
    if field.kind.is_map or field.kind.is_list:
        return (dict(value) if field.kind.is_map else list(value)) if value else None
    return value
