"""The build: committed fragments to profiles, in one commit.

Input is what `loads` has in force beyond what the last build applied. New loads are merged into the stored state of the
profiles they touch; where a load was replaced, or a component holds several exclusive identifiers, the touched
components are recomputed from all their fragments. Either way the result is that of a full rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.engines.local import Connection, Workspace, one_thread, rows
from etl.engines.memory import give_back
from etl.errors import LakeConflict
from etl.groups import groups_of
from etl.lake.attempts import column_names, remove_attempts, row_count
from etl.lake.layers import DEFAULT_SIZES, Sizes
from etl.lake.layout import Lake
from etl.lake.loads import Load, all_loads, in_force
from etl.lake.tables import CommitConflict, commit, files_of, transaction_of, version_of
from etl.profiles.companions import (
    count_profiles,
    derive_identifiers,
    write_changes,
    write_conflicts,
    write_identifiers,
    write_missing_changes,
)
from etl.profiles.contributions import PLACES, Contributions, Queried, Stored
from etl.profiles.fields import ProfileField, StreamFields, merged_fields, namespaces, stream_fields
from etl.profiles.fragments import id_column
from etl.profiles.merge import state_columns, state_types
from etl.profiles.packing import state_query
from etl.profiles.repeated import Repeats, count_repeated
from etl.profiles.resolve import head_query, resolve_all
from etl.profiles.rows import Rows
from etl.profiles.stored import PROFILES, current_profiles
from etl.profiles.sums import register
from etl.profiles.touched import columns_of, find_components, resolve_touched
from etl.reports import BuildReport

DEFAULT_MAX_IDENTIFIERS = 50
# How `profiles` and `identifiers` are laid out; a lake that is laid out otherwise is built whole once.
_LAYOUT = 2
_DEFAULTS = {"max_identifiers": DEFAULT_MAX_IDENTIFIERS, "dedupe_days": 0, "layout": 1}
_ATTEMPTS = 5
_NO_TIMES = "CAST(NULL AS TIMESTAMPTZ) AS _first, CAST(NULL AS TIMESTAMPTZ) AS _last, CAST(NULL AS BIGINT) AS _records"
_MOST_LOADS = 500


@dataclass(frozen=True)
class _Input:
    """What a build works on: loads in force, those not applied yet, and the attempts that these replace."""

    sequence: int
    in_force: dict[str, Load]
    new: list[Load]
    replaced: list[Load]


def build_profiles(
    lake: Lake,
    *,
    full: bool = False,
    max_identifiers: int = DEFAULT_MAX_IDENTIFIERS,
    dedupe_days: int | None = None,
    sizes: Sizes = DEFAULT_SIZES,
    on_step: Callable[[str], None] = lambda step: None,
) -> BuildReport:
    """Brings the table `profiles` up to the loads in force. `full` recomputes everything from fragments; so does a build
    with other `max_identifiers` or `dedupe_days` than the last one. `sizes` tells when rows of several builds become
    one file, and how many are worked on at once.

    One builder works at a time; a second one waits. Raises LakeConflict when other machines win again and again.
    """
    lake.ensure_writable()
    with lake.building():
        for _ in range(_ATTEMPTS):
            try:
                return _Build(lake, max_identifiers, dedupe_days, sizes, on_step).run(full)
            except CommitConflict:
                continue
    raise LakeConflict("other writers changed the table `profiles` again and again", next_step="run again")


class _Build:
    def __init__(self, lake: Lake, max_identifiers: int, dedupe_days: int | None, sizes: Sizes, on_step: Callable[[str], None]) -> None:
        self.lake, self.max_identifiers, self.sizes, self.on_step = lake, max_identifiers, sizes, on_step
        self.streams: dict[str, StreamFields] = stream_fields(lake)
        self.repeats = Repeats(lake, self.streams, dedupe_days)
        self.settings = {"max_identifiers": max_identifiers, "dedupe_days": dedupe_days or 0, "layout": _LAYOUT}
        self.fields: list[ProfileField] = merged_fields(list(self.streams.values()))
        self.namespaces = namespaces(list(self.streams.values()))
        self.version = version_of(lake.profiles)
        self.number = transaction_of(lake.profiles, "build") or 0

    def run(self, full: bool) -> BuildReport:
        committed = all_loads(self.lake)
        applied = transaction_of(self.lake.profiles, "loads") or 0
        work = _input(committed, applied)
        if self.number and transaction_of(self.lake.identifiers, "build") != self.number:
            self._repair(in_force(committed, applied).values())
        full = full or self.number == 0 or self._other_settings()
        if not (full and work.in_force) and not any(load.rows for load in [*work.new, *work.replaced]):
            return self._report(BuildReport(self.number, 0))
        with self.lake.workspace(little=True) as (connection, scratch):
            register(connection)
            contributions, count = self._prepare((connection, scratch), work, full)
            give_back()
            changes = self._merge_and_commit(connection, scratch, work, full, contributions, count)
        remove = {load.attempt for load in work.replaced} | _superseded(committed)
        for stream in self.streams:
            remove_attempts(self.lake.fragments(stream), remove)
        return self._report(BuildReport(self.number + 1, 0, loads=len(work.new), full=full, **changes))

    def _prepare(self, workspace: Workspace, work: _Input, full: bool) -> tuple[Iterable[Contributions], int]:
        """Makes `assigned` and `touched(profile_id)`; gives what to merge, and about how many rows that is."""
        connection, _ = workspace
        self.repeats.read(connection, -1 if full else self.number)
        recounted = self.repeats.find(workspace, work.in_force, work.in_force.values() if full else work.new)
        if full:
            self._fragments(workspace, "every_fragment", work.in_force.values())
            self.on_step("resolving identities")
            with one_thread(connection):
                resolve_all(connection, "every_fragment", self.namespaces)
            stored = current_profiles(self.lake)
            everybody = f"SELECT profile_id FROM {stored}" if stored else "SELECT '' AS profile_id WHERE FALSE"
            connection.execute(f"CREATE TEMP TABLE touched AS {everybody}")
            loads = list(work.in_force.values())
            count = sum(row_count(self.lake.fragments(stream), (load.attempt for load in loads)) for stream in self.streams)
            return self._in_batches(workspace, loads), count
        self._view(connection, "every_fragment", self.repeats.identified(connection, work.in_force.values()))
        self._fragments(workspace, "new_fragments", [*work.new, *recounted])
        self._fragments(workspace, "old_fragments", [*work.replaced, *recounted], as_stored=True)
        self.on_step("resolving identities")
        find_components(connection, self.lake, self.fields, self.namespaces)
        resolve_touched(
            connection,
            self.namespaces,
            lambda view, loads: self._fragments(workspace, view, [work.in_force[load] for load in loads]),
        )
        return self._contributions(connection)

    def _fragments(self, workspace: Workspace, view: str, loads: Iterable[Load], *, as_stored: bool = False) -> None:
        """A view over the fragments of loads, streams side by side."""
        self._view(workspace[0], view, self.repeats.fragments(workspace, loads, as_stored=as_stored))

    def _view(self, connection: Connection, name: str, parts: list[str]) -> None:
        """A view over queries for fragments; every column of every stream is there."""
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join([self._no_fragments(), *parts])}")

    def _no_fragments(self) -> str:
        columns = [_NO_TIMES, "'' AS _identity", "'' AS load", *self._no_ids(), *self._typed_nulls()]
        return f"SELECT {', '.join(columns)} WHERE FALSE"

    def _no_ids(self) -> list[str]:
        return [f"CAST(NULL AS VARCHAR) AS {id_column(name)}" for name in self.namespaces]

    def _typed_nulls(self) -> list[str]:
        return [f"CAST(NULL AS {type_}) AS {column}" for field in self.fields for column, type_ in state_types(field).items()]

    def _in_batches(self, workspace: Workspace, loads: list[Load]) -> Iterator[Contributions]:
        """The fragments of loads, some at a time, each to be read before the next is asked for: joined to everybody at once, wide
        rows would be spilled, all of them."""
        connection, _ = workspace
        known = {name.lower() for stream in self.streams for name in column_names(self.lake.fragments(stream))}
        for batch in groups_of(loads, lambda load: load.rows, most_items=_MOST_LOADS, most_size=self.sizes.rows * 4):
            if known & PLACES:
                self._fragments(workspace, "batch", batch)
                yield Queried(self._assigned_fragments("batch"))
                continue
            paths, partly = self.repeats.stored(connection, batch)
            yield Stored(paths, self._no_contributions(), self._owners)
            if partly:
                self._fragments(workspace, "batch", partly)
                yield Queried(self._assigned_fragments("batch"))

    def _contributions(self, connection: Connection) -> tuple[list[Contributions], int]:
        """The fragments of everything touched, and what is stored of those who only grow."""
        fragments = ("recomputed_fragments", "merged_fragments")
        parts: list[Contributions] = [Queried(self._assigned_fragments(source)) for source in fragments]
        known = columns_of(connection, "held")
        state = ["h.first_seen AS _first", "h.last_seen AS _last", "h._records", *state_query("h", self.fields, known)]
        moved = f"SELECT m.profile_id, {', '.join(state)} FROM held h JOIN moved m ON m.old_id = h.profile_id"
        # Fields that are newer than what is stored are null there.
        parts.append(Queried(f"{self._no_contributions()} UNION ALL BY NAME ({moved})"))
        return parts, sum(_count(connection, source) for source in (*fragments, "moved"))

    def _no_contributions(self) -> str:
        return f"SELECT '' AS profile_id, {', '.join([_NO_TIMES, *self._typed_nulls()])} WHERE FALSE"

    def _assigned_fragments(self, source: str) -> str:
        """SQL for fragments with the profile they belong to."""
        return self._owned(source, ", ".join(["a.profile_id", "_first", "_last", "_records", *state_columns(self.fields)]))

    def _owners(self, source: str) -> str:
        """SQL for the profile of each row of files of fragments."""
        complete = f"(SELECT {', '.join(self._no_ids())} WHERE FALSE UNION ALL BY NAME SELECT * FROM {source})"
        return self._owned(complete, "a.profile_id, file_index, file_row_number, _named")

    def _owned(self, source: str, columns: str) -> str:
        """SQL for columns of fragments `f` and the profile they belong to, `a`: that of their most trusted identifier."""
        head_namespace, head_value = head_query(self.namespaces)
        headed = f"SELECT *, {head_namespace} AS _head_namespace, {head_value} AS _head_value FROM {source}"
        return f"""SELECT {columns} FROM ({headed}) f
            JOIN assigned a ON a.namespace = f._head_namespace AND a.value = f._head_value"""

    def _merge_and_commit(
        self, connection: Connection, scratch: Path, work: _Input, full: bool, contributions: Iterable[Contributions], count: int
    ) -> dict[str, int]:
        self.on_step("merging profiles")
        build, table, old = self.number + 1, self.lake.profiles, files_of(self.lake.profiles)
        merged = Rows(self.fields, self.max_identifiers, build, self.sizes)
        added = merged.write(connection, scratch, table, contributions, count, recent=not full)
        counts = self._counts(connection, full)
        self.on_step("writing profiles")
        removed = [file.path for file in old]
        if not full:
            added, removed = PROFILES.settle(connection, table, old, added, self.sizes)
        self.repeats.write(connection, build)
        commit(
            table,
            merged.schema(connection, table),
            add=added,
            remove=removed,
            expected_version=self.version,
            transactions={"loads": work.sequence, "build": build, **self.settings, **counts},
            metadata={"build": str(build), "loads_version": str(work.sequence)},
        )
        return self._write_companions(connection, scratch, build, full)

    def _counts(self, connection: Connection, full: bool) -> dict[str, int]:
        """How many profiles there are now, published ones and those in quarantine: kept with the commit, since counting reads all."""
        query = "SELECT count(*) FILTER (NOT _quarantined) AS profiles, count(*) FILTER (_quarantined) AS quarantined FROM"
        now: dict[str, int] = rows(connection, f"{query} fresh")[0]
        if full:
            return now
        held = f"(SELECT profile_id, count(*) > {self.max_identifiers} AS _quarantined FROM near GROUP BY profile_id)"
        gone, before = rows(connection, f"{query} {held}")[0], count_profiles(self.lake)
        return {name: before[name] - gone[name] + now[name] for name in now}

    def _write_companions(self, connection: Connection, scratch: Path, build: int, full: bool) -> dict[str, int]:
        """`changes` and `conflicts`, then `identifiers`. They follow the commit of `profiles`: where a kill cuts them off,
        the next build repairs them first. `identifiers` comes last, and its build tells whether they are all there."""
        changes = """SELECT profile_id, CASE WHEN t.profile_id IS NULL THEN 'inserted' ELSE 'updated' END AS change
            FROM fresh f LEFT JOIN touched t USING (profile_id)
            UNION ALL SELECT profile_id, 'merged_away' FROM touched ANTI JOIN fresh USING (profile_id)"""
        connection.execute(f"CREATE TEMP TABLE changed AS {changes}")
        counts = {row["change"]: row["n"] for row in rows(connection, "SELECT change, count(*) AS n FROM changed GROUP BY change")}
        write_changes(self.lake, connection, build, "SELECT * FROM changed")
        write_conflicts(self.lake, connection, build, None if full else "SELECT namespace, value FROM near")
        self.repeats.forget(connection, build)
        if full:
            # Nothing needs it any more, and it holds everybody.
            connection.execute("DROP TABLE assigned")
            give_back()
            derive_identifiers(self.lake, connection, scratch, build, self.sizes)
        else:
            write_identifiers(self.lake, connection, scratch, build, self.sizes)
        return {
            "inserted": counts.get("inserted", 0),
            "updated": counts.get("updated", 0),
            "merged_away": counts.get("merged_away", 0),
            "conflicts": rows(connection, "SELECT count(*) AS n FROM refused")[0]["n"],
        }

    def _repair(self, applied: Iterable[Load]) -> None:
        """Writes the tables beside `profiles` that a kill kept the last build from writing."""
        with self.lake.workspace(little=True) as (connection, scratch):
            register(connection)
            self.repeats.read(connection, self.number)
            self._fragments((connection, scratch), "applied_fragments", applied)
            resolve_all(connection, "applied_fragments", self.namespaces)
            write_missing_changes(self.lake, connection, self.number)
            write_conflicts(self.lake, connection, self.number, None)
            derive_identifiers(self.lake, connection, scratch, self.number, self.sizes)

    def _other_settings(self) -> bool:
        """Whether the last build was made by other settings."""
        before = {name: transaction_of(self.lake.profiles, name) for name in self.settings}
        return self.settings != {name: _DEFAULTS[name] if value is None else value for name, value in before.items()}

    def _report(self, report: BuildReport) -> BuildReport:
        counted = count_profiles(self.lake) | {"repeated_keys": count_repeated(self.lake, report.build)}
        return BuildReport(**(vars(report) | counted))


def _count(connection: Connection, source: str) -> int:
    return int(rows(connection, f"SELECT count(*) AS n FROM {source}")[0]["n"])


def _input(committed: list[Load], applied: int) -> _Input:
    now, before = in_force(committed), in_force(committed, applied)
    new = [load for name, load in now.items() if name not in before or before[name].attempt != load.attempt]
    replaced = [before[load.load] for load in new if load.load in before]
    return _Input(max((load.sequence for load in committed), default=0), now, new, replaced)


def _superseded(committed: list[Load]) -> set[str]:
    """Attempts that were in force once and are not any more."""
    now = {load.attempt for load in in_force(committed).values()}
    return {load.attempt for load in committed} - now
