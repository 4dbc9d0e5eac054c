"""Landed attempts become loads: read, compare with what is in force, map, write, commit.

Order of commits: stream rows, rejects and fragments of the new attempts, then their rows in `loads`. Until that last
commit nothing counts; after it everything does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.local import Connection, InvalidInput, arrow, rows
from etl.engines.sql import identifier, quote
from etl.groups import groups_of
from etl.lake.attempts import file_name, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads, current_loads
from etl.lake.tables import NewFile, Table, commit, schema_of, write_file
from etl.landing.manifest import Landed, LoadId
from etl.landing.members import records_of
from etl.landing.store import drop_attempts
from etl.mapping import Mapping, udfs
from etl.mapping.pii import hashed_query
from etl.mapping.plan import JSON_BUT_NOT_OBJECT, NOT_OBJECT, plan
from etl.pipeline.counting import count_loads, fields_from, fields_text, leave_out_samples
from etl.profiles import sums
from etl.profiles.fields import StreamFields, of_mapping, remember
from etl.profiles.fragments import id_column, identified_query, make_fragments, records_query
from etl.profiles.privacy import without_suppressed
from etl.records import LONGEST_SHOWN, masked
from etl.reports import ImportReport
from etl.settings import Clock

# Raw text in memory at once; the mapped rows take about as much again.
BATCH_BYTES = 96 * 1024 * 1024
# gzip of JSON events: a factor seen between 6 and 15. Only the batches' size depends on it.
_GZIP_FACTOR = 12
_MOST_LOADS = 200

# A table, the schema of its new files, and these files.
Written = tuple[Table, pa.Schema, list[NewFile]]


@dataclass(frozen=True)
class Ingest:
    """Where to and how. `force`: replace a load also by a smaller one; `remap`: also by equal content."""

    lake: Lake
    mapping: Mapping
    job: str
    clock: Clock = field(default_factory=Clock)
    force: bool = False
    remap: bool = False


def ingest(settings: Ingest, landed: Sequence[Landed]) -> ImportReport:
    """Makes loads of landed attempts, in batches that fit into memory. Damaged members raise DamagedDownload."""
    fields = of_mapping(settings.mapping)
    remember(settings.lake, fields)
    report = ImportReport(settings.job)
    for batch in _batches(landed):
        report.add(_Batch(settings, fields, batch).run())
    return report


def _batches(landed: Sequence[Landed]) -> Iterable[list[Landed]]:
    return groups_of(landed, lambda attempt: attempt.size * _GZIP_FACTOR, most_items=_MOST_LOADS, most_size=BATCH_BYTES)


class _Batch:
    """One batch on its way through; `load_ix` is an attempt's place in `landed`."""

    def __init__(self, settings: Ingest, fields: StreamFields, landed: list[Landed]) -> None:
        self.settings, self.fields, self.landed = settings, fields, landed
        self.lake, self.plan = settings.lake, plan(settings.mapping)
        self.report = ImportReport(settings.job)

    def run(self) -> ImportReport:
        with self.lake.workspace() as (connection, _):
            udfs.register(connection)
            sums.register(connection)
            digests = self._read(connection)
            before = current_loads(self.lake)
            kept = [ix for ix, attempt in enumerate(self.landed) if self._is_news(attempt, digests[ix], before)]
            committed = self._load(connection, kept, digests, before) if kept else []
        # Only attempts that are known to be out: another run may be about to load its own of the same hour.
        counting = {row.attempt for row in committed}
        # A lake that is built beside reads the raw files of another one, which are not its to remove.
        own = [one for one in self.landed if one.folder.is_relative_to(self.lake.landing)]
        drop_attempts(self.lake.landing, [one.folder for one in own if one.attempt not in counting])
        replaced = [before[row.load] for row in committed if row.load in before]
        drop_attempts(self.lake.landing, [attempt_folder(self.lake.landing, row) for row in replaced])
        return self.report

    def _read(self, connection: Connection) -> dict[int, dict[str, Any]]:
        """Makes the tables `records` and `loads`; lines and digest per load."""
        # In a table of the database, not in Arrow: what does not fit into its memory limit is spilled to disk.
        connection.execute("CREATE TEMP TABLE records (load_ix INTEGER, member_ix INTEGER, line BIGINT, text VARCHAR)")
        for ix, one in enumerate(self.landed):
            for member in records_of(one, ix):
                connection.register("member", member)
                connection.execute("INSERT INTO records SELECT * FROM member")
                connection.unregister("member")
        times = [one.time.astimezone(UTC) for one in self.landed]
        loads = {
            "load_ix": pa.array(range(len(times)), pa.int32()),
            "fallback_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
        connection.register("loads", pa.table(loads))
        # Sorted record hashes: the same records in another order or other files are the same content.
        hashes = "SELECT load_ix, CAST(hash(text) AS VARCHAR) AS h FROM records"
        found = rows(
            connection,
            f"""SELECT load_ix, count(h) AS lines, sha256(coalesce(string_agg(h, ',' ORDER BY h), '')) AS digest
            FROM loads LEFT JOIN ({hashes}) USING (load_ix) GROUP BY load_ix""",
        )
        return {row["load_ix"]: row for row in found}

    def _is_news(self, attempt: Landed, found: dict[str, Any], before: dict[str, Load]) -> bool:
        old = before.get(str(attempt.load))
        if not self._wanted(found["lines"], found["digest"], old):
            listed = self.report.unchanged if old and old.digest == found["digest"] else self.report.shrunk
            listed.append(str(attempt.load))
            return False
        return True

    def _wanted(self, lines: int, digest: str, old: Load | None) -> bool:
        if old is None or self.settings.remap:
            return True
        if old.digest == digest:
            return False
        return lines >= old.lines or self.settings.force

    def _load(self, connection: Connection, kept: list[int], digests: dict[int, dict[str, Any]], before: dict[str, Load]) -> list[Load]:
        mapped = any(digests[ix]["lines"] for ix in kept)
        counts = self._map(connection, kept) if mapped else {}
        loads = [self._row(ix, digests[ix], counts.get(ix, {})) for ix in kept]
        with self.lake.writing():
            committed = self._commit(loads, self._write(connection, kept) if mapped else [])
            self._forget([row.attempt for row in loads if row.attempt not in {one.attempt for one in committed}], with_fragments=True)
            self._forget([before[row.load].attempt for row in committed if row.load in before], with_fragments=False)
        self._account(committed, before)
        return committed

    def _commit(self, loads: list[Load], written: list[Written]) -> list[Load]:
        for table, schema, files in written:
            if files:
                commit(table, schema, add=files)
        return commit_loads(self.lake, loads, lambda new, old: self._wanted(new.lines, new.digest, old))

    def _map(self, connection: Connection, kept: list[int]) -> dict[int, dict[str, Any]]:
        """Maps the records of the kept attempts, and counts what comes of them, per load."""
        chosen = ", ".join(str(ix) for ix in kept)
        connection.execute(f"CREATE TEMP VIEW chosen AS SELECT * FROM records WHERE load_ix IN ({chosen})")
        all_json = self._make_mapped(connection)
        duplicates = _drop_duplicates(connection)
        connection.execute(f"CREATE TEMP VIEW identified AS {records_query('mapped')}")
        make_fragments(connection, "identified", self.fields)
        self._make_rejects(connection, JSON_BUT_NOT_OBJECT if all_json else NOT_OBJECT)
        counts = count_loads(connection, self.plan, [field.name for field in self.fields.fields])
        leave_out_samples(counts, self.settings.mapping)
        for ix, count in duplicates.items():
            counts[ix]["_duplicates"] = count
        return counts

    def _make_mapped(self, connection: Connection) -> bool:
        """Makes the table `mapped`; whether every chosen line is JSON.

        Most files are whole, so a look at each line beforehand, as long as the reading itself, is mostly wasted.
        """
        try:
            self._map_records(connection, all_json=True)
        except InvalidInput:
            self._map_records(connection, all_json=False)
            return False
        return True

    def _map_records(self, connection: Connection, *, all_json: bool) -> None:
        mapped = f"({hashed_query(connection, self.plan.query('chosen', all_json=all_json), self.settings.mapping)})"
        identified = without_suppressed(connection, self.lake, identified_query(mapped, self.fields), self.fields.by)
        connection.execute(f"CREATE TEMP TABLE mapped AS {identified}")

    def _make_rejects(self, connection: Connection, not_object: str) -> None:
        bad = arrow(
            connection,
            f"""SELECT load_ix, member_ix, line, left(text, {LONGEST_SHOWN * 4}) AS text,
            CASE WHEN starts_with(text, chr(65533)) THEN 'not_utf8' WHEN json_valid(text) THEN 'not_an_object' ELSE 'not_json' END AS code
            FROM chosen WHERE {not_object}""",
        ).to_pylist()
        schema = pa.schema(
            [
                ("load_ix", pa.int32()),
                ("stream", pa.string()),
                ("member", pa.string()),
                ("line", pa.int64()),
                ("code", pa.string()),
                ("text", pa.string()),
            ]
        )
        made = [
            {
                "load_ix": row["load_ix"],
                "stream": self.fields.stream,
                "member": self.landed[row["load_ix"]].members[row["member_ix"]],
                "line": row["line"],
                "code": row["code"],
                # A broken line cannot be told into fields, so where some are to be hashed none of it is kept.
                "text": "" if self.settings.mapping.pii_key else masked(row["text"].rstrip("\r\n")),
            }
            for row in bad
        ]
        connection.register("rejects", pa.Table.from_pylist(made, schema=schema))

    def _row(self, ix: int, found: dict[str, Any], counts: dict[str, Any]) -> Load:
        attempt = self.landed[ix]
        rejects = counts.get("_rejects", 0)
        return Load(
            load=str(attempt.load),
            stream=attempt.load.stream,
            scope=attempt.load.scope,
            unit=attempt.load.unit,
            attempt=attempt.attempt,
            date=attempt.time.astimezone(UTC).date(),
            time=attempt.time.astimezone(UTC),
            lines=found["lines"],
            records=found["lines"] - rejects,
            rows=counts.get("_rows", 0),
            duplicates=counts.get("_duplicates", 0),
            rejects=rejects,
            unidentified=counts.get("_unidentified", 0),
            early=counts.get("_early", 0),
            bytes=attempt.size,
            digest=found["digest"],
            mapping=self.fields.fingerprint,
            job=self.settings.job,
            misfits=fields_text(counts.get("_fields", {})),
            details=json.dumps(attempt.details, ensure_ascii=False, sort_keys=True),
            committed_at=self.settings.clock.now(),
        )

    def _write(self, connection: Connection, kept: list[int]) -> list[Written]:
        """Writes one file per load and table; nothing is committed yet."""
        stream = self.fields.stream
        members = pa.table(
            {
                "load_ix": pa.array([ix for ix, one in enumerate(self.landed) for _ in one.members], pa.int32()),
                "member_ix": pa.array([n for one in self.landed for n in range(len(one.members))], pa.int32()),
                "_member": pa.array([name for one in self.landed for name in one.members], pa.string()),
            }
        )
        connection.register("members", members)
        names = ", ".join(identifier(field.name) for field in self.fields.fields)
        ids = ", ".join(id_column(name) for name in self.fields.by)
        mapped = f"SELECT load_ix, {names}, _time, _key, _member, line AS _line FROM mapped JOIN members USING (load_ix, member_ix)"
        sources = [
            (self.lake.stream(stream), mapped),
            (
                self.lake.fragments(stream),
                f"SELECT * EXCLUDE (_identity{', ' + ids if ids else ''}), _identity{', ' + ids if ids else ''} FROM fragments",
            ),
            (self.lake.rejects, "SELECT * FROM rejects"),
        ]
        written = []
        for table, query in sources:
            filled = {row["load_ix"] for row in rows(connection, f"SELECT DISTINCT load_ix FROM ({query})")}
            files = []
            for ix in sorted(filled):
                attempt = self.landed[ix]
                labels = f"{quote(str(attempt.load))} AS load, {quote(attempt.attempt)} AS _attempt"
                one = f"SELECT * EXCLUDE (load_ix), {labels} FROM ({query}) WHERE load_ix = {ix}"
                partition = {"date": attempt.time.astimezone(UTC).date().isoformat()}
                file = write_file(connection, one, table, partition, file_name(str(attempt.load), attempt.attempt))
                files += [file] if file else []
            schema = schema_of(connection, f"SELECT * EXCLUDE (load_ix), '' AS load, '' AS _attempt FROM ({query})", table)
            written.append((table, schema, files))
        return written

    def _account(self, committed: list[Load], before: dict[str, Load]) -> None:
        report = self.report
        for row in committed:
            listed = report.replaced if row.load in before else report.loaded if row.lines else report.empty
            listed.append(row.load)
            report.lines += row.lines
            report.rows += row.rows
            report.duplicates += row.duplicates
            report.rejects += row.rejects
            report.unidentified += row.unidentified
            report.early += row.early
            report.filtered += row.records - row.rows - row.duplicates
            report.add_fields(fields_from(row.misfits))

    def _forget(self, attempts: list[str], *, with_fragments: bool) -> None:
        """Removes rows of attempts that do not count. Fragments of replaced ones stay until a build has seen it."""
        if attempts:
            remove_attempts(self.lake.stream(self.fields.stream), attempts)
            remove_attempts(self.lake.rejects, attempts)
            if with_fragments:
                remove_attempts(self.lake.fragments(self.fields.stream), attempts)


def contents_of(settings: Ingest, landed: Sequence[Landed]) -> list[tuple[int, str]]:
    """The lines and the digest of each attempt, as its row in `loads` has them."""
    found: list[tuple[int, str]] = []
    for batch in _batches(landed):
        with settings.lake.workspace() as (connection, _):
            read = _Batch(settings, of_mapping(settings.mapping), batch)._read(connection)
        found += [(read[ix]["lines"], read[ix]["digest"]) for ix in range(len(batch))]
    return found


def attempt_folder(landing: Path, load: Load) -> Path:
    """Where the raw files of a committed load stand."""
    return landing / LoadId(load.stream, load.scope, load.unit).folder / load.attempt


def _drop_duplicates(connection: Connection) -> dict[int, int]:
    """Keeps the last row of each key within a load; how many rows went, per load."""
    place = "CAST(member_ix AS BIGINT) * 4294967296 + line"
    connection.execute(
        f"""CREATE TEMP TABLE repeated AS SELECT load_ix, _key, max({place}) AS last, count(*) - 1 AS extra
        FROM mapped WHERE _key IS NOT NULL GROUP BY load_ix, _key HAVING count(*) > 1"""
    )
    found = rows(connection, "SELECT load_ix, CAST(sum(extra) AS BIGINT) AS n FROM repeated GROUP BY load_ix")
    if found:
        connection.execute(
            f"""DELETE FROM mapped USING repeated WHERE mapped.load_ix = repeated.load_ix AND mapped._key = repeated._key
            AND {place.replace("member_ix", "mapped.member_ix").replace("line", "mapped.line")} < repeated.last"""
        )
    return {row["load_ix"]: row["n"] for row in found}
