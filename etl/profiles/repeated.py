"""Keys that stand in more than one load. Upload hours are disjoint, so each is a fault upstream, or files that overlap.

They are found at each build and kept in the table `repeated`. With `dedupe_days` such a key counts once: a load's record
counts unless a load with a smaller id, no more than so many days before or after, has its key too. Which records count
is a pure function of the loads in force, and the fragments of the loads concerned are computed again from their rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etl.engines.local import Connection, Workspace, one_thread, rows
from etl.engines.sql import identifier, quote
from etl.lake.attempts import attempt_of, rows_of
from etl.lake.layout import Lake
from etl.lake.loads import Load
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, write_file
from etl.profiles.fields import StreamFields
from etl.profiles.fragments import id_column, identified_query, make_fragments
from etl.profiles.met_twice import Numbers, met_twice
from etl.profiles.privacy import without_suppressed

# How far apart two loads may be for the check, where no setting says more. It costs reading the keys of these days.
DETECTION_DAYS = 1
# Records whose fragments are made together.
_AT_ONCE = 16_384
_HASHES_AT_ONCE = 1 << 18
_NONE = "SELECT '' AS stream, '' AS load, '' AS key, TRUE AS counts WHERE FALSE"


@dataclass(frozen=True)
class Repeats:
    """What a build looks for. `days` is the setting `dedupe_days`; with None every record counts."""

    lake: Lake
    streams: dict[str, StreamFields]
    days: int | None

    def read(self, connection: Connection, build: int) -> None:
        """Makes `repeated(stream, load, key, counts)` as a build left it."""
        files = [file.path for file in files_of(self.lake.repeated) if int(file.partition["build"]) == build]
        source = relation(self.lake.repeated, files)
        query = f"SELECT stream, load, key, counts FROM {source}" if source else _NONE
        connection.execute(f"CREATE OR REPLACE TEMP TABLE repeated AS {query}")

    def find(self, workspace: Workspace, now: dict[str, Load], new: Iterable[Load]) -> list[Load]:
        """Brings `repeated` up to the loads in force `now`, of which `new` were not there before.

        Returns the other loads of which other records count than before.
        """
        connection, _ = workspace
        fresh = {load.load for load in new}
        _register_loads(connection, now, fresh)
        connection.execute("CREATE OR REPLACE TEMP TABLE repeated_before AS FROM repeated")
        kept = "SELECT r.stream, r.load, r.key FROM repeated r JOIN repeats_loads USING (load) WHERE NOT new"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE keys AS {kept}")
        for stream, fields in self.streams.items():
            if fields.key is not None:
                self._add_keys(workspace, [load for load in now.values() if load.stream == stream and _is_disjoint(load)], fresh)
        counts = "NOT bool_or(b.load < a.load)" if self.days is not None else "TRUE"
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE repeated AS
            WITH placed AS (SELECT DISTINCT k.stream, k.load, k.key, l.scope, l.time FROM keys k JOIN repeats_loads l USING (load))
            SELECT a.stream, a.load, a.key, {counts} AS counts FROM placed a
            JOIN placed b ON a.stream = b.stream AND a.scope = b.scope AND a.key = b.key AND a.load <> b.load
                AND b.time BETWEEN a.time - INTERVAL {self._window} DAY AND a.time + INTERVAL {self._window} DAY
            GROUP BY a.stream, a.load, a.key"""
        )
        uncounted = "SELECT stream, load, key FROM {} WHERE NOT counts"
        before, after = uncounted.format("repeated_before"), uncounted.format("repeated")
        other = rows(
            connection,
            f"""SELECT DISTINCT load FROM (({before} EXCEPT {after}) UNION ALL ({after} EXCEPT {before}))
            JOIN repeats_loads USING (load) WHERE NOT new""",
        )
        return [now[row["load"]] for row in other]

    @property
    def _window(self) -> int:
        return DETECTION_DAYS if self.days is None else self.days

    def _add_keys(self, workspace: Workspace, loads: list[Load], fresh: set[str]) -> None:
        """Adds to `keys` those of new loads that stand in a second load of their scope near enough."""
        connection, scratch = workspace
        for scope in sorted({load.scope for load in loads if load.load in fresh and load.rows}):
            new = [load for load in loads if load.scope == scope and load.load in fresh and load.rows]
            near = timedelta(days=self._window)
            first, last = min(load.time for load in new) - near, max(load.time for load in new) + near
            old = [load for load in loads if load.scope == scope and load.load not in fresh and load.rows and first <= load.time <= last]
            table = self.lake.stream(new[0].stream)
            source, others = (rows_of(table, (load.attempt for load in some)) for some in (new, old))
            if source is None:
                continue
            connection.execute(f"CREATE OR REPLACE TEMP VIEW new_keys AS SELECT load, _key AS key FROM {source} WHERE _key IS NOT NULL")
            # Within a load a key stands once. Hashes first: they are a third of the keys' size, and mostly none is there twice.
            twice = met_twice(_hashes(connection), sum(load.rows for load in new), scratch / "key_hashes")
            if others is None and not len(twice):
                continue
            connection.register("twice", pa.table({"h": twice}))
            found = "SELECT load, key FROM new_keys WHERE hash(key) IN (SELECT h FROM twice)"
            if others is not None:
                connection.execute(
                    f"""CREATE OR REPLACE TEMP TABLE met AS SELECT load, _key AS key FROM {others}
                    WHERE _key IN (SELECT key FROM new_keys)"""
                )
                found += " UNION ALL FROM met UNION ALL SELECT load, key FROM new_keys WHERE key IN (SELECT key FROM met)"
            connection.execute(f"INSERT INTO keys SELECT {quote(new[0].stream)}, load, key FROM ({found})")
            connection.unregister("twice")

    def fragments(self, workspace: Workspace, loads: Iterable[Load], *, as_stored: bool = False) -> list[str]:
        """SQL for the fragments of loads: of what counts in them by `repeated`, or `as_stored`.

        Those of a load in which something does not count are made once and put into the scratch folder. The rows of a load that was
        imported again are gone, while its fragments live until a build has seen that: those are given as they are stored, all of
        its records counted.
        """
        parts = []
        for fields, attempts, partly in self._told_apart(workspace[0], loads, as_stored=as_stored):
            whole = rows_of(self.lake.fragments(fields.stream), attempts)
            parts += [f"SELECT * FROM {whole}"] if whole else []
            paths = ", ".join(quote(str(path)) for load in partly if (path := self._counted(workspace, load, fields)))
            parts += [f"SELECT * FROM read_parquet([{paths}], union_by_name = true)"] if paths else []
        return parts

    def stored(self, connection: Connection, loads: Iterable[Load]) -> tuple[list[Path], list[Load]]:
        """The files with fragments of loads that count as they are, and the loads in which something does not count."""
        paths: list[Path] = []
        others: list[Load] = []
        for fields, attempts, partly in self._told_apart(connection, loads):
            table = self.lake.fragments(fields.stream)
            paths += [table.path / file.path for file in files_of(table) if attempt_of(file) in attempts]
            others += partly
        return paths, others

    def identified(self, connection: Connection, loads: Iterable[Load]) -> list[str]:
        """SQL for the same as far as identity goes: `load`, `_first`, `_records`, and id columns. Nothing is read before it is asked."""
        parts = []
        for fields, attempts, partly in self._told_apart(connection, loads):
            whole = rows_of(self.lake.fragments(fields.stream), attempts)
            ids = [id_column(name) for name in fields.by]
            parts += [f"SELECT {', '.join(['load', '_first', '_records', *ids])} FROM {whole}"] if whole else []
            if partly:
                columns = ["load", "min(_time) AS _first", "count(*) AS _records", *(f"any_value({column}) AS {column}" for column in ids)]
                parts.append(f"SELECT {', '.join(columns)} FROM ({self._counting(connection, partly, fields)}) GROUP BY load, _identity")
        return parts

    def _told_apart(
        self, connection: Connection, loads: Iterable[Load], *, as_stored: bool = False
    ) -> Iterator[tuple[StreamFields, set[str], list[Load]]]:
        """By stream: the attempts of loads whose stored fragments count, and the loads in which something does not count."""
        found = rows(connection, "SELECT DISTINCT load FROM repeated WHERE NOT counts") if not as_stored else []
        repeated = {row["load"] for row in found}
        chosen = [load for load in loads if load.rows]
        for stream, fields in self.streams.items():
            own = [load for load in chosen if load.stream == stream]
            there = {attempt_of(file) for file in files_of(self.lake.stream(stream))} if repeated else set()
            partly = [load for load in own if load.load in repeated and load.attempt in there]
            whole = {load.attempt for load in own} - {load.attempt for load in partly}
            yield fields, whole, partly

    def _counted(self, workspace: Workspace, load: Load, fields: StreamFields) -> Path | None:
        """A file with the fragments of a load without records whose key counts elsewhere; None where nothing is left."""
        connection, scratch = workspace
        path = scratch / f"counted.{load.attempt}.parquet"
        if not path.exists():
            # Records are read from one connection while they are merged on another.
            with contextlib.closing(connection.cursor()) as merging, contextlib.ExitStack() as opened:
                writer = None
                reader = connection.sql(self._counting(connection, [load], fields)).to_arrow_reader(_AT_ONCE)
                while (batch := next(reader, None)) is not None:
                    made = make_fragments(merging, _numbered(batch), fields).drop_columns("load_ix")
                    made = made.append_column("load", pa.repeat(pa.scalar(load.load), len(made)))
                    writer = writer or opened.enter_context(pq.ParquetWriter(path, made.schema, compression="lz4"))
                    writer.write_table(made)
                if writer is None:
                    path.touch()
        return path if path.stat().st_size else None

    def _counting(self, connection: Connection, loads: Iterable[Load], fields: StreamFields) -> str:
        """SQL for the records of loads that count and are somebody's, with their identifiers."""
        typed = ", ".join(f"CAST(NULL AS {field.kind.sql}) AS {identifier(field.name)}" for field in fields.fields)
        counting = f"""SELECT s.* FROM {rows_of(self.lake.stream(fields.stream), (load.attempt for load in loads))} s
            ANTI JOIN (SELECT load, key FROM repeated WHERE NOT counts AND stream = {quote(fields.stream)}) u
            ON u.key = s._key AND u.load = s.load"""
        complete = f"(SELECT {typed} WHERE FALSE) UNION ALL BY NAME ({counting})"
        known = without_suppressed(connection, self.lake, identified_query(f"({complete})", fields), fields.by)
        return f"SELECT * FROM ({known}) WHERE _identity IS NOT NULL"

    def write(self, connection: Connection, build: int) -> None:
        """Puts `repeated` beside what the last build left: it counts once `profiles` is at this build."""
        old = [file.path for file in files_of(self.lake.repeated) if int(file.partition["build"]) >= build]
        query = "SELECT * FROM repeated"
        file = write_file(connection, query, self.lake.repeated, {"build": str(build)}, new_token())
        if file or old:
            commit(self.lake.repeated, schema_of(connection, query, self.lake.repeated), add=[file] if file else [], remove=old)

    def forget(self, connection: Connection, build: int) -> None:
        """Removes what builds before this one left."""
        old = [file.path for file in files_of(self.lake.repeated) if int(file.partition["build"]) < build]
        if old:
            commit(self.lake.repeated, schema_of(connection, _NONE, self.lake.repeated), remove=old)


def _hashes(connection: Connection) -> Iterator[Numbers]:
    with one_thread(connection):
        reader = connection.sql("SELECT hash(key) AS h FROM new_keys").to_arrow_reader(_HASHES_AT_ONCE)
        while (batch := next(reader, None)) is not None:
            yield batch["h"].to_numpy()


def _numbered(records: pa.RecordBatch) -> pa.Table:
    """Records of one load as `make_fragments` wants them."""
    return pa.Table.from_batches([records]).append_column("load_ix", pa.array(np.zeros(len(records), np.int32)))


def count_repeated(lake: Lake, build: int) -> int:
    """How many keys stood in more than one load at a build."""
    source = relation(lake.repeated, (file.path for file in files_of(lake.repeated) if int(file.partition["build"]) == build))
    if source is None:
        return 0
    with lake.workspace() as (connection, _):
        return int(rows(connection, f"SELECT count(DISTINCT (stream, key)) AS n FROM {source}")[0]["n"])


def _is_disjoint(load: Load) -> bool:
    """Whether other loads should hold other records. Snapshots of a cohort (its id, then the time) repeat their people."""
    return "/" not in load.unit


def _register_loads(connection: Connection, now: dict[str, Load], fresh: set[str]) -> None:
    loads = list(now.values())
    columns = {
        "load": pa.array([load.load for load in loads], pa.string()),
        "scope": pa.array([load.scope for load in loads], pa.string()),
        "time": pa.array([load.time for load in loads], pa.timestamp("us", tz="UTC")),
        "new": pa.array([load.load in fresh for load in loads], pa.bool_()),
    }
    connection.register("repeats_given", pa.table(columns))
    connection.execute("CREATE OR REPLACE TEMP TABLE repeats_loads AS FROM repeats_given")
    connection.unregister("repeats_given")
