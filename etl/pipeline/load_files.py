"""What is landed, as files of the lake's tables: rows, fragments and rejects of each load, some megabytes at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC

import numpy as np
import pyarrow as pa

from etl.engines import shred
from etl.engines.local import Workspace
from etl.engines.memory import give_back
from etl.engines.sql import named
from etl.lake.attempts import file_name
from etl.lake.layout import Lake
from etl.lake.row_files import RowFiles
from etl.lake.tables import Table
from etl.landing.manifest import Landed
from etl.pipeline.counting import LoadCounts, count_rows, leave_out_samples
from etl.pipeline.mapped_records import MappedRecords, Plans
from etl.pipeline.mapped_rows import by_load, repeated_rows
from etl.pipeline.reading import Digest, pieces_of
from etl.profiles.fragments import make_fragments
from etl.profiles.merge import state_columns
from etl.records import masked

_MOST_TOGETHER = 32


class LoadFiles:
    """Makes the files of attempts, which `load_ix` numbers by their place in `landed`. `digests` and `counts` are by that number.

    About `at_once` bytes of text are worked on together: several small loads, or a part of a large one.
    """

    def __init__(self, workspace: Workspace, lake: Lake, plans: Plans, landed: Sequence[Landed], at_once: int) -> None:
        self._workspace, self._lake, self._plans, self._landed, self._at_once = workspace, lake, plans, landed, at_once
        self._names = pa.array([name for one in landed for name in one.members], pa.string())
        self._first_names = np.cumsum([0, *(len(one.members) for one in landed)])
        # Who reads fragments knows which there may be.
        self._states = frozenset(map(named, state_columns(plans.fields.fields)))
        self._working = shred.Room()
        self.files = RowFiles(workspace[1])
        self.digests: dict[int, Digest] = {}
        self.counts: dict[int, LoadCounts] = {}

    def make(self, chosen: Iterable[int]) -> None:
        """Reads and maps attempts and writes their files, outside of the tables. Raises DamagedDownload for a damaged member."""
        started: list[int] = []
        mapped = self._none_mapped()
        for ix in chosen:
            started.append(ix)
            for piece in pieces_of(self._landed[ix], ix, self._plans.shredded, self._at_once, self._working):
                mapped.add(piece)
            # With another load, most would be mapped by a second statement. Each load has three files open until then.
            if mapped.size >= self._at_once * 2 // 3 or len(started) >= _MOST_TOGETHER:
                self._finish(mapped, started)
                started, mapped = [], self._none_mapped()
        self._finish(mapped, started)

    def _none_mapped(self) -> MappedRecords:
        return MappedRecords(self._workspace, self._lake, self._plans, [one.time for one in self._landed], self._at_once)

    def _finish(self, mapped: MappedRecords, chosen: list[int]) -> None:
        rows, rejects = mapped.finish()
        self.digests |= mapped.digests(chosen)
        counts = {ix: LoadCounts() for ix in chosen}
        for rejected in rejects.drain():
            self._write_rejects(rejected, counts)
        kept, repeated = repeated_rows(rows)
        for ix, count in repeated.items():
            counts[ix].duplicates = count
        for mask, table in zip(kept, rows.drain(), strict=True):
            kept_rows = table if mask is None else table.filter(pa.array(mask))
            del table
            self._write_rows(kept_rows, counts)
            del kept_rows
            give_back()
        self.files.close()
        leave_out_samples(counts.values(), self._plans.mapping)
        self.counts |= counts

    def _write_rows(self, mapped: pa.Table, counts: dict[int, LoadCounts]) -> None:
        connection, fields = self._workspace[0], self._plans.fields
        connection.register("mapped", mapped)
        for ix, found in count_rows(connection, self._plans.careful, [field.name for field in fields.fields], mapped).items():
            counts[ix].add(found)
        connection.unregister("mapped")
        self._write(self._lake.fragments(fields.stream), make_fragments(connection, mapped, fields), self._states)
        members = self._names.take(pa.array(self._first_names[mapped["load_ix"].to_numpy()] + mapped["member_ix"].to_numpy()))
        columns = mapped.select(["load_ix", *(field.name for field in fields.fields), "_time", "_key"])
        self._write(self._lake.stream(fields.stream), columns.append_column("_member", members).append_column("_line", mapped["line"]))

    def _write_rejects(self, rejected: pa.Table, counts: dict[int, LoadCounts]) -> None:
        made: dict[str, list[object]] = {"load_ix": [], "stream": [], "member": [], "line": [], "code": [], "text": []}
        for row in rejected.to_pylist():
            counts[row["load_ix"]].rejects += 1
            made["load_ix"].append(row["load_ix"])
            made["stream"].append(self._plans.fields.stream)
            made["member"].append(self._landed[row["load_ix"]].members[row["member_ix"]])
            made["line"].append(row["line"])
            made["code"].append(row["code"])
            # A broken line cannot be told into fields, so where some are to be hashed none of it is kept.
            made["text"].append("" if self._plans.mapping.pii_key else masked(row["text"].rstrip("\r\n")))
        types = {"load_ix": pa.int32(), "line": pa.int64()}
        self._write(self._lake.rejects, pa.table({name: pa.array(found, types.get(name, pa.string())) for name, found in made.items()}))

    def _write(self, table: Table, made: pa.Table, optional: Collection[str] = ()) -> None:
        """Adds rows to the files of their loads; `optional` as `RowFiles.write` has it."""
        for ix, rows in by_load(made).items():
            attempt = self._landed[ix]
            labelled = rows.drop_columns("load_ix")
            for name, value in (("load", str(attempt.load)), ("_attempt", attempt.attempt)):
                labelled = labelled.append_column(name, pa.repeat(value, len(labelled)))
            partition = {"date": attempt.time.astimezone(UTC).date().isoformat()}
            self.files.write(labelled, table, partition, file_name(str(attempt.load), attempt.attempt), optional)
