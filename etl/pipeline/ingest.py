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

import numpy as np
import pyarrow as pa

from etl.engines.local import Workspace, arrow
from etl.engines.memory import give_back
from etl.groups import groups_of
from etl.lake.attempts import file_name, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads, current_loads
from etl.lake.tables import NewFile, Table, commit, with_partition, write_rows
from etl.landing.manifest import Landed, LoadId
from etl.landing.members import records_of
from etl.landing.store import drop_attempts
from etl.mapping import Mapping, udfs
from etl.pipeline.counting import count_loads, fields_from, fields_text, leave_out_samples
from etl.pipeline.mapped_rows import by_load, without_duplicates
from etl.pipeline.reading import Digest, Digests, MappedRecords, pieces_of
from etl.profiles import sums
from etl.profiles.fields import StreamFields, of_mapping, remember
from etl.profiles.fragments import make_fragments
from etl.records import LONGEST_SHOWN, masked
from etl.reports import ImportReport
from etl.settings import Clock

# Raw text of a batch; its mapped rows and their fragments, all in memory, take a few times as much.
BATCH_BYTES = 48 * 1024 * 1024
# gzip of JSON events: a factor seen between 6 and 15. Only the batches' size depends on it.
_GZIP_FACTOR = 12
_MOST_LOADS = 200

# A table and rows for it, with `load_ix`.
Made = tuple[Table, pa.Table]
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
    with settings.lake.workspace() as workspace:
        udfs.register(workspace[0])
        sums.register(workspace[0])
        for batch in _batches(landed):
            report.add(_Batch(settings, fields, batch, workspace).run())
            give_back()
    return report


def _batches(landed: Sequence[Landed]) -> Iterable[list[Landed]]:
    return groups_of(landed, lambda attempt: attempt.size * _GZIP_FACTOR, most_items=_MOST_LOADS, most_size=BATCH_BYTES)


class _Batch:
    """One batch on its way through; `load_ix` is an attempt's place in `landed`."""

    def __init__(self, settings: Ingest, fields: StreamFields, landed: list[Landed], workspace: Workspace) -> None:
        self.settings, self.fields, self.landed, self.workspace = settings, fields, landed, workspace
        self.connection, self.lake = workspace[0], settings.lake
        self.report = ImportReport(settings.job)

    def run(self) -> ImportReport:
        before = current_loads(self.lake, connection=self.connection)
        # What is loaded already is compared before it is mapped; most of it is as it was.
        known = [] if self.settings.remap else [ix for ix, one in enumerate(self.landed) if str(one.load) in before]
        digests = self.digests_of(known)
        kept = [ix for ix, one in enumerate(self.landed) if ix not in digests or self._is_news(one, digests[ix], before)]
        committed = self._load(kept, before) if kept else []
        # Only attempts that are known to be out: another run may be about to load its own of the same hour.
        counting = {row.attempt for row in committed}
        # A lake that is built beside reads the raw files of another one, which are not its to remove.
        own = [one for one in self.landed if one.folder.is_relative_to(self.lake.landing)]
        drop_attempts(self.lake.landing, [one.folder for one in own if one.attempt not in counting])
        replaced = [before[row.load] for row in committed if row.load in before]
        drop_attempts(self.lake.landing, [attempt_folder(self.lake.landing, row) for row in replaced])
        return self.report

    def digests_of(self, chosen: Iterable[int]) -> dict[int, Digest]:
        """Lines and digest of attempts, by their place."""
        digests = Digests(self.connection)
        for ix in chosen:
            for table in records_of(self.landed[ix], ix):
                digests.add(table)
        return digests.of(chosen)

    def _is_news(self, attempt: Landed, found: Digest, before: dict[str, Load]) -> bool:
        old = before.get(str(attempt.load))
        if not self._wanted(found.lines, found.digest, old):
            listed = self.report.unchanged if old and old.digest == found.digest else self.report.shrunk
            listed.append(str(attempt.load))
            return False
        return True

    def _wanted(self, lines: int, digest: str, old: Load | None) -> bool:
        if old is None or self.settings.remap:
            return True
        if old.digest == digest:
            return False
        return lines >= old.lines or self.settings.force

    def _load(self, kept: list[int], before: dict[str, Load]) -> list[Load]:
        digests, counts, made = self._map(kept)
        loads = [self._row(ix, digests[ix], counts.get(ix, {})) for ix in kept]
        with self.lake.writing():
            committed = self._commit(loads, [self._written(table, rows_) for table, rows_ in made])
            self._forget([row.attempt for row in loads if row.attempt not in {one.attempt for one in committed}], with_fragments=True)
            self._forget([before[row.load].attempt for row in committed if row.load in before], with_fragments=False)
        self._account(committed, before)
        return committed

    def _commit(self, loads: list[Load], written: list[Written]) -> list[Load]:
        for table, schema, files in written:
            if files:
                commit(table, schema, add=files)
        return commit_loads(self.lake, loads, lambda new, old: self._wanted(new.lines, new.digest, old), connection=self.connection)

    def _map(self, kept: list[int]) -> tuple[dict[int, Digest], dict[int, dict[str, Any]], list[Made]]:
        """Maps the records of the kept attempts. Lines and digest of each, what came of them, and the rows for the tables;
        the last two are empty where there are no records."""
        mapped = MappedRecords(self.workspace, self.lake, self.settings.mapping, self.fields, [one.time for one in self.landed])
        for ix in kept:
            for piece in pieces_of(self.landed[ix], ix, mapped.shredded):
                mapped.add(piece)
        digests = mapped.digests(kept)
        if not any(one.lines for one in digests.values()):
            return digests, {}, []
        found, not_object = mapped.finish()
        give_back()
        found, duplicates = without_duplicates(found)
        self.connection.register("mapped", found)
        rejects = self._rejects(not_object)
        counts = count_loads(self.connection, mapped.careful, [field.name for field in self.fields.fields], found, rejects)
        leave_out_samples(counts, self.settings.mapping)
        for ix, count in duplicates.items():
            counts[ix]["_duplicates"] = count
        self.connection.unregister("mapped")
        fragments = make_fragments(self.connection, found, self.fields)
        stream = self.lake.stream(self.fields.stream)
        return (
            digests,
            counts,
            [(stream, self._rows(found)), (self.lake.fragments(self.fields.stream), fragments), (self.lake.rejects, rejects)],
        )

    def _rejects(self, not_object: str) -> pa.Table:
        bad = arrow(
            self.connection,
            f"""SELECT load_ix, member_ix, line, left(text, {LONGEST_SHOWN * 4}) AS text,
            CASE WHEN starts_with(text, chr(65533)) THEN 'not_utf8' WHEN json_valid(text) THEN 'not_an_object' ELSE 'not_json' END AS code
            FROM records WHERE {not_object}""",
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
        return pa.Table.from_pylist(made, schema=schema)

    def _row(self, ix: int, found: Digest, counts: dict[str, Any]) -> Load:
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
            lines=found.lines,
            records=found.lines - rejects,
            rows=counts.get("_rows", 0),
            duplicates=counts.get("_duplicates", 0),
            rejects=rejects,
            unidentified=counts.get("_unidentified", 0),
            early=counts.get("_early", 0),
            bytes=attempt.size,
            digest=found.digest,
            mapping=self.fields.fingerprint,
            job=self.settings.job,
            misfits=fields_text(counts.get("_fields", {})),
            details=json.dumps(attempt.details, ensure_ascii=False, sort_keys=True),
            committed_at=self.settings.clock.now(),
        )

    def _rows(self, mapped: pa.Table) -> pa.Table:
        """The columns of the stream's table, and `load_ix`."""
        names = pa.array([name for one in self.landed for name in one.members], pa.string())
        firsts = np.cumsum([0, *(len(one.members) for one in self.landed)])
        members = names.take(pa.array(firsts[mapped["load_ix"].to_numpy()] + mapped["member_ix"].to_numpy()))
        columns = ["load_ix", *(field.name for field in self.fields.fields), "_time", "_key"]
        return mapped.select(columns).append_column("_member", members).append_column("_line", mapped["line"])

    def _written(self, table: Table, made: pa.Table) -> Written:
        """Writes one file per load; nothing is committed yet."""
        files = []
        for ix, rows_ in by_load(made).items():
            attempt = self.landed[ix]
            labelled = rows_.drop_columns("load_ix")
            for name, value in (("load", str(attempt.load)), ("_attempt", attempt.attempt)):
                labelled = labelled.append_column(name, pa.repeat(value, len(labelled)))
            partition = {"date": attempt.time.astimezone(UTC).date().isoformat()}
            name = file_name(str(attempt.load), attempt.attempt)
            files.append(write_rows(labelled, table, partition, name, repeats=table.path != self.lake.fragments(self.fields.stream).path))
        none = made.slice(0, 0).drop_columns("load_ix")
        for name in ("load", "_attempt"):
            none = none.append_column(name, pa.array([], pa.string()))
        return table, with_partition(none.schema, table), files

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
    with settings.lake.workspace() as workspace:
        for batch in _batches(landed):
            digests = _Batch(settings, of_mapping(settings.mapping), batch, workspace).digests_of(range(len(batch)))
            found += [(digests[ix].lines, digests[ix].digest) for ix in range(len(batch))]
    return found


def attempt_folder(landing: Path, load: Load) -> Path:
    """Where the raw files of a committed load stand."""
    return landing / LoadId(load.stream, load.scope, load.unit).folder / load.attempt
