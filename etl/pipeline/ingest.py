"""Landed attempts become loads: read, compare with what is in force, map, write, commit.

Order of commits: stream rows, rejects and fragments of the new attempts, then their rows in `loads`. Until that last
commit nothing counts; after it everything does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from etl.engines.local import Workspace
from etl.engines.memory import give_back
from etl.groups import groups_of
from etl.lake.attempts import remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import Load, commit_loads, current_loads
from etl.landing.manifest import Landed, LoadId
from etl.landing.members import records_of
from etl.landing.store import drop_attempts
from etl.mapping import Mapping, udfs
from etl.pipeline.counting import LoadCounts, fields_from, fields_text
from etl.pipeline.load_files import LoadFiles
from etl.pipeline.mapped_records import MAPPED_BYTES, Plans, plans_of
from etl.pipeline.reading import Digest, Digests, hashes_of
from etl.profiles import sums
from etl.profiles.fields import of_mapping, remember
from etl.profiles.privacy import load_suppression
from etl.reports import ImportReport
from etl.settings import Clock

# What is committed together, and is to be done again after a kill: so many bytes of landed files, mostly gzip.
_BATCH_BYTES = 64 * 1024 * 1024
_MOST_LOADS = 200


@dataclass(frozen=True)
class Ingest:
    """Where to and how. `force`: replace a load also by a smaller one; `remap`: also by equal content. `at_once`: how many
    bytes of text to work on at a time; memory is some times as much, whatever the size of a load."""

    lake: Lake
    mapping: Mapping
    job: str
    clock: Clock = field(default_factory=Clock)
    force: bool = False
    remap: bool = False
    at_once: int = MAPPED_BYTES


def ingest(settings: Ingest, landed: Sequence[Landed]) -> ImportReport:
    """Makes loads of landed attempts, a batch of them in each commit. Damaged members raise DamagedDownload."""
    plans = plans_of(settings.mapping, of_mapping(settings.mapping))
    remember(settings.lake, plans.fields)
    report = ImportReport(settings.job)
    with settings.lake.workspace() as workspace:
        udfs.register(workspace[0])
        sums.register(workspace[0])
        for batch in _batches(landed):
            report.add(_Batch(settings, plans, batch, workspace).run())
            give_back()
    return report


def digests_of(landed: Sequence[Landed], chosen: Iterable[int]) -> dict[int, Digest]:
    """Lines and digest of attempts, by their place."""
    chosen = list(chosen)
    digests = Digests()
    for ix in chosen:
        for table in records_of(landed[ix], ix):
            digests.add(ix, hashes_of(table))
    return digests.of(chosen)


def _batches(landed: Sequence[Landed]) -> Iterable[list[Landed]]:
    return groups_of(landed, lambda attempt: attempt.size, most_items=_MOST_LOADS, most_size=_BATCH_BYTES)


class _Batch:
    """One batch on its way through; `load_ix` is an attempt's place in `landed`."""

    def __init__(self, settings: Ingest, plans: Plans, landed: list[Landed], workspace: Workspace) -> None:
        self.settings, self.plans, self.landed, self.workspace = settings, plans, landed, workspace
        self.connection, self.lake = workspace[0], settings.lake
        self.report = ImportReport(settings.job)

    def run(self) -> ImportReport:
        before = current_loads(self.lake, connection=self.connection)
        # What is loaded already is compared before it is mapped; most of it is as it was.
        known = [] if self.settings.remap else [ix for ix, one in enumerate(self.landed) if str(one.load) in before]
        digests = digests_of(self.landed, known)
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
        committed = None
        while committed is None:
            suppression = load_suppression(self.lake)
            made = LoadFiles(self.workspace, self.lake, self.plans, self.landed, self.settings.at_once)
            with contextlib.closing(made.files):
                made.make(kept)
            with self.lake.writing():
                # Somebody may have been forgotten since their records were mapped.
                if load_suppression(self.lake) == suppression:
                    committed = self._commit(made, kept, before)
                else:
                    made.files.discard()
        self._account(committed, before)
        return committed

    def _commit(self, made: LoadFiles, kept: list[int], before: dict[str, Load]) -> list[Load]:
        loads = [self._row(ix, made.digests[ix], made.counts[ix]) for ix in kept]
        made.files.commit()
        committed = commit_loads(self.lake, loads, lambda new, old: self._wanted(new.lines, new.digest, old), connection=self.connection)
        self._forget([row.attempt for row in loads if row.attempt not in {one.attempt for one in committed}], with_fragments=True)
        self._forget([before[row.load].attempt for row in committed if row.load in before], with_fragments=False)
        return committed

    def _row(self, ix: int, found: Digest, counts: LoadCounts) -> Load:
        attempt = self.landed[ix]
        return Load(
            load=str(attempt.load),
            stream=attempt.load.stream,
            scope=attempt.load.scope,
            unit=attempt.load.unit,
            attempt=attempt.attempt,
            date=attempt.time.astimezone(UTC).date(),
            time=attempt.time.astimezone(UTC),
            lines=found.lines,
            records=found.lines - counts.rejects,
            rows=counts.rows,
            duplicates=counts.duplicates,
            rejects=counts.rejects,
            unidentified=counts.unidentified,
            early=counts.early,
            bytes=attempt.size,
            digest=found.digest,
            mapping=self.plans.fields.fingerprint,
            job=self.settings.job,
            misfits=fields_text(counts.fields),
            details=json.dumps(attempt.details, ensure_ascii=False, sort_keys=True),
            committed_at=self.settings.clock.now(),
        )

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
            remove_attempts(self.lake.stream(self.plans.fields.stream), attempts)
            remove_attempts(self.lake.rejects, attempts)
            if with_fragments:
                remove_attempts(self.lake.fragments(self.plans.fields.stream), attempts)


def contents_of(settings: Ingest, landed: Sequence[Landed]) -> list[tuple[int, str]]:
    """The lines and the digest of each attempt, as its row in `loads` has them."""
    found: list[tuple[int, str]] = []
    for batch in _batches(landed):
        digests = digests_of(batch, range(len(batch)))
        found += [(digests[ix].lines, digests[ix].digest) for ix in range(len(batch))]
    return found


def attempt_folder(landing: Path, load: Load) -> Path:
    """Where the raw files of a committed load stand."""
    return landing / LoadId(load.stream, load.scope, load.unit).folder / load.attempt
