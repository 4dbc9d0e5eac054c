"""Loads without the records of suppressed people: another attempt of each, made from the old one without mapping anything.

So nobody else's values can change, whatever became of the mapping since. The old attempt counts until the new one is
committed; its fragments stay until a build has seen the replacement.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.local import Connection, rows
from etl.engines.sql import identifier, quote
from etl.lake.attempts import arrow_schema, file_name, remove_attempts, rows_of
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads, current_loads
from etl.lake.tables import DataFile, NewFile, Table, commit, files_of, write_file
from etl.landing.manifest import MANIFEST, Landed, read_manifest
from etl.landing.scrub import without_lines
from etl.landing.snapshot import EXITS
from etl.landing.store import arriving, drop_attempts, place
from etl.mapping import Mapping
from etl.pipeline.counting import fields_from, fields_text
from etl.pipeline.ingest import Ingest, attempt_folder, contents_of
from etl.pipeline.suppression import Lines
from etl.profiles.fragments import guarded, id_column
from etl.profiles.privacy import Suppression, owner_suppressed_sql, suppressed_sql, without_suppressed_sql


@dataclass
class Removed:
    """What went from loads: how many of them were written anew, and lines, rows, fragments and rejects. `shared` are other
    people's fragments in which one of the identifiers stood too; there it identifies nobody any more."""

    loads: int = 0
    lines: int = 0
    rows: int = 0
    fragments: int = 0
    rejects: int = 0
    shared: int = 0

    @property
    def anything(self) -> bool:
        return bool(self.lines or self.rows or self.fragments or self.rejects or self.shared)

    def add(self, other: Removed) -> None:
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass(frozen=True)
class Cleaning:
    """Loads of one stream on their way: `by` are its identifier fields, most trusted first."""

    lake: Lake
    suppression: Suppression
    mapping: Mapping
    by: tuple[str, ...]


def rows_of_people(cleaning: Cleaning, loads: Sequence[Load], lines: Sequence[Lines]) -> list[Removed]:
    """What there is to remove of each load, of one stream all of them. Adds to their `lines` those that the tables know
    beyond the raw files."""
    lake, by, stream = cleaning.lake, cleaning.by, loads[0].stream
    attempts = {load.attempt: ix for ix, load in enumerate(loads)}
    found = [Removed() for _ in loads]
    with lake.workspace() as (connection, _):
        cleaning.suppression.prepare(connection)
        own = owner_suppressed_sql(by) if by else "FALSE"
        if by and (source := rows_of(lake.stream(stream), attempts)) is not None:
            for row in rows(connection, f"SELECT _attempt, _member, _line FROM ({_with_ids(source, by)}) WHERE {own}"):
                lines[attempts[row["_attempt"]]].own[row["_member"]].add(row["_line"])
                found[attempts[row["_attempt"]]].rows += 1
        rejects = rows_of(lake.rejects, attempts)
        for row in rows(connection, f"SELECT _attempt, member, line, text FROM {rejects}") if rejects else ():
            theirs = lines[attempts[row["_attempt"]]].own[row["member"]]
            if row["line"] in theirs or cleaning.suppression.names(row["text"]):
                theirs.add(row["line"])
                found[attempts[row["_attempt"]]].rejects += 1
        if by and (source := rows_of(lake.fragments(stream), attempts)) is not None:
            any_ = " OR ".join(f"coalesce({suppressed_sql(quote(name), id_column(name))}, FALSE)" for name in by)
            counts = f"count(*) FILTER ({own}) AS own, count(*) FILTER (NOT {own} AND ({any_})) AS shared"
            for row in rows(connection, f"SELECT _attempt, {counts} FROM {source} GROUP BY _attempt"):
                one = found[attempts[row["_attempt"]]]
                one.fragments, one.shared = row["own"], row["shared"]
    for removed, of_load in zip(found, lines, strict=True):
        removed.lines = of_load.count
    return found


def clean_loads(cleaning: Cleaning, found: Sequence[tuple[Load, Lines, Removed]]) -> tuple[Removed, set[str]]:
    """Puts the loads in force without the given lines, and returns what went and the new attempts. Loads that were replaced
    meanwhile are left to the next look."""
    lake, total = cleaning.lake, Removed()
    with lake.writing():
        now = current_loads(lake)
        still = [one for one in found if now[one[0].load].attempt == one[0].attempt]
        made, added = _clean(cleaning, still)
        for table, files in added:
            if files:
                commit(table, arrow_schema(table), add=files)
        attempts = {load.load: load.attempt for load, _, _ in still}
        committed = commit_loads(lake, made, lambda new, old: old is not None and old.attempt == attempts[new.load])
        old_attempts = [attempts[row.load] for row in committed]
        for table in (lake.rejects, *(lake.stream(stream) for stream in {row.stream for row in committed})):
            remove_attempts(table, old_attempts)
        drop_attempts(lake.landing, [attempt_folder(lake.landing, load) for load, _, _ in still])
        for _, _, removed in still:
            total.add(replace(removed, loads=1))
    return total, {row.attempt for row in committed}


def _clean(cleaning: Cleaning, found: Sequence[tuple[Load, Lines, Removed]]) -> tuple[list[Load], list[tuple[Table, list[NewFile]]]]:
    """The loads under new attempts, and what has to be added to the tables for them; nothing is committed."""
    lake = cleaning.lake
    landed: dict[str, Landed] = {}
    for load, lines, _ in found:
        if ((old := attempt_folder(lake.landing, load)) / MANIFEST).is_file():
            landed[load.load] = _land_again(lake, read_manifest(old), lines)
    read = contents_of(Ingest(lake, cleaning.mapping, found[0][0].job), list(landed.values())) if landed else []
    contents = dict(zip(landed, read, strict=True))
    made: list[Load] = []
    with lake.workspace() as (connection, _):
        cleaning.suppression.prepare(connection)
        copies = [_Copy(table, rest, files_of(table)) for table, rest in _queries(cleaning, found[0][0].stream)] if found else []
        for load, lines, removed in found:
            attempt = landed[load.load].attempt if load.load in landed else secrets.token_hex(8)
            _register_gone(connection, lines)
            files = [copy.write(connection, load, attempt) for copy in copies]
            kept = _kept(connection, load, copies[0].table, files[0])
            made.append(_row(load, attempt, landed.get(load.load), contents.get(load.load), kept, lines, removed))
    return made, [(copy.table, copy.added) for copy in copies]


@dataclass
class _Copy:
    """A table and SQL that is put behind the rows of an attempt, those of the people left out; its files are read once."""

    table: Table
    rest: Callable[[str], str]
    files: list[DataFile]
    added: list[NewFile] = field(default_factory=list)

    def write(self, connection: Connection, load: Load, attempt: str) -> NewFile | None:
        """The file of the new attempt, written and not committed; None where it has no rows."""
        source = rows_of(self.table, [load.attempt], self.files)
        if source is None:
            return None
        query = f"SELECT * REPLACE ({quote(attempt)} AS _attempt) FROM ({self.rest(source)})"
        file = write_file(connection, query, self.table, {"date": load.date.isoformat()}, file_name(load.load, attempt))
        self.added += [file] if file is not None else []
        return file


def _queries(cleaning: Cleaning, stream: str) -> list[tuple[Table, Callable[[str], str]]]:
    """The tables with rows of loads, the stream first, and what is kept of them."""
    lake, by = cleaning.lake, cleaning.by
    ids = "".join(f", {id_column(name)}" for name in by)
    theirs = f"(_member, _line) IN (SELECT (m, l) FROM gone) OR {owner_suppressed_sql(by) if by else 'FALSE'}"

    def fragments(source: str) -> str:
        kept = without_suppressed_sql(f"SELECT * FROM {source}", by) if by else f"SELECT * FROM {source}"
        return f"SELECT * EXCLUDE (date) FROM ({kept})"

    return [
        (lake.stream(stream), lambda source: f"SELECT * EXCLUDE (date{ids}) FROM ({_with_ids(source, by)}) WHERE NOT ({theirs})"),
        (lake.fragments(stream), fragments),
        (lake.rejects, lambda source: f"SELECT * EXCLUDE (date) FROM {source} WHERE (member, line) NOT IN (SELECT (m, l) FROM gone)"),
    ]


def _register_gone(connection: Connection, lines: Lines) -> None:
    gone = [(member, line) for member, numbers in lines.own.items() for line in numbers]
    columns = {"m": pa.array([one[0] for one in gone], pa.string()), "l": pa.array([one[1] for one in gone], pa.int64())}
    connection.register("gone", pa.table(columns))


def _row(
    load: Load, attempt: str, landed: Landed | None, content: tuple[int, str] | None, kept: dict[str, Any], lines: Lines, removed: Removed
) -> Load:
    """The load's row under its new attempt, with what is left of its counts."""
    count, digest = content or (max(0, load.lines - lines.count), load.digest)
    rejects = load.rejects - removed.rejects
    records = count - rejects
    # What `where` left out has no row to count, so its share is what is neither a row nor a duplicate.
    filtered = load.records - load.rows - load.duplicates
    duplicates = max(0, records - kept["rows"] - filtered) if filtered == 0 else min(load.duplicates, max(0, records - kept["rows"]))
    return replace(
        load,
        attempt=attempt,
        lines=count,
        records=records,
        rows=kept["rows"],
        duplicates=duplicates,
        rejects=rejects,
        early=min(load.early, kept["rows"]),
        bytes=landed.size if landed else load.bytes,
        digest=digest,
        misfits=_field_counts(load, kept),
        details=json.dumps(landed.details, ensure_ascii=False, sort_keys=True) if landed else load.details,
    )


def _land_again(lake: Lake, old: Landed, lines: Lines) -> Landed:
    attempt = secrets.token_hex(8)
    with arriving(lake.landing, attempt) as folder:
        for member in old.members:
            shutil.copyfile(old.folder / member, folder / member)
        details = dict(old.details)
        if details.get("exits") and lines.own.get(EXITS):
            details["exits"] = max(0, details["exits"] - _exits_on(old.folder / EXITS, lines.own[EXITS]))
        return place(lake.landing, without_lines(replace(old, attempt=attempt, folder=folder, details=details), lines.own))


def _exits_on(path: Path, lines: set[int]) -> int:
    """How many of the lines tell that somebody left, and not only that a name is gone."""
    texts = path.read_text(encoding="utf-8").split("\n")
    return sum(1 for number in lines if number <= len(texts) and '"cohort_id"' in texts[number - 1])


def _with_ids(source: str, by: Sequence[str]) -> str:
    ids = "".join(f", {guarded(f'CAST({identifier(name)} AS VARCHAR)')} AS {id_column(name)}" for name in by)
    return f"SELECT *{ids} FROM {source}"


def _kept(connection: Connection, load: Load, table: Table, file: NewFile | None) -> dict[str, Any]:
    """How many rows the new attempt has, and how many values of each field."""
    if file is None:
        return {"rows": 0, "values": {}}
    path = table.path / file.path
    names = list(fields_from(load.misfits))
    source = f"read_parquet({quote(str(path))}, hive_partitioning = false)"
    known = {row["column_name"] for row in rows(connection, f"SELECT column_name FROM (DESCRIBE SELECT * FROM {source})")}
    counts = ["count(*) AS rows", *(f"count({identifier(name)}) AS {identifier('v ' + name)}" for name in names if name in known)]
    (row,) = rows(connection, f"SELECT {', '.join(counts)} FROM {source}")
    return {"rows": row["rows"], "values": {name: row[f"v {name}"] for name in names if name in known}}


def _field_counts(load: Load, kept: dict[str, Any]) -> str:
    """What came of each field, less the rows that went, and without samples: they may be anybody's."""
    counts = fields_from(load.misfits)
    for name, count in counts.items():
        fewer = load.rows - kept["rows"] - max(0, count.values - kept["values"].get(name, 0))
        count.values = kept["values"].get(name, 0)
        for column in ("missing", "skipped", "misfits"):
            taken = min(max(0, fewer), getattr(count, column))
            setattr(count, column, getattr(count, column) - taken)
            fewer -= taken
        count.samples = []
        count.short_fractions = min(count.short_fractions, count.values)
    return fields_text(counts)
