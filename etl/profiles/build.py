"""The build: committed fragments to profiles, in one commit.

Input is what `loads` has in force beyond what the last build applied. New loads are merged into the stored state of the
profiles they touch; where a load was replaced, or a component holds several exclusive identifiers, the touched
components are recomputed from all their fragments. Either way the result is that of a full rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from etl.engines.local import Connection, rows
from etl.engines.sql import identifier, quote
from etl.errors import LakeConflict
from etl.lake.attempts import remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import Load, all_loads, in_force
from etl.lake.tables import (
    CommitConflict,
    NewFile,
    commit,
    files_of,
    new_token,
    relation,
    schema_of,
    transaction_of,
    version_of,
    write_file,
)
from etl.profiles.companions import count_profiles, write_changes, write_conflicts, write_identifiers, write_missing_changes
from etl.profiles.fields import ProfileField, StreamFields, merged_fields, namespaces, stream_fields
from etl.profiles.fragments import id_column
from etl.profiles.merge import Times, merge_query, state_columns, state_types
from etl.profiles.repeated import Repeats, count_repeated
from etl.profiles.resolve import assign, head_query, links_query, nodes_query, resolve_all
from etl.profiles.sums import register
from etl.reports import BuildReport

BUCKETS = 16
DEFAULT_MAX_IDENTIFIERS = 50
_DEFAULTS = {"max_identifiers": DEFAULT_MAX_IDENTIFIERS, "dedupe_days": 0}
_ATTEMPTS = 5


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
    on_step: Callable[[str], None] = lambda step: None,
) -> BuildReport:
    """Brings the table `profiles` up to the loads in force. `full` recomputes everything from fragments; so does a build
    with other `max_identifiers` or `dedupe_days` than the last one.

    One builder works at a time; a second one waits. Raises LakeConflict when other machines win again and again.
    """
    lake.ensure_writable()
    with lake.building():
        for _ in range(_ATTEMPTS):
            try:
                return _Build(lake, max_identifiers, dedupe_days, on_step).run(full)
            except CommitConflict:
                continue
    raise LakeConflict("other writers changed the table `profiles` again and again", next_step="run again")


def bucket_of(profile_id: str) -> str:
    """SQL for the bucket of a profile id."""
    return f"CAST(('0x' || left({profile_id}, 2)) AS INTEGER) % {BUCKETS}"


class _Build:
    def __init__(self, lake: Lake, max_identifiers: int, dedupe_days: int | None, on_step: Callable[[str], None]) -> None:
        self.lake, self.max_identifiers, self.on_step = lake, max_identifiers, on_step
        self.streams: dict[str, StreamFields] = stream_fields(lake)
        self.repeats = Repeats(lake, self.streams, dedupe_days)
        self.settings = {"max_identifiers": max_identifiers, "dedupe_days": dedupe_days or 0}
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
        with self.lake.workspace() as (connection, _):
            register(connection)
            self._prepare(connection, work, full)
            changes = self._merge_and_commit(connection, work, full)
        remove = {load.attempt for load in work.replaced} | _superseded(committed)
        for stream in self.streams:
            remove_attempts(self.lake.fragments(stream), remove)
        return self._report(BuildReport(self.number + 1, 0, loads=len(work.new), full=full, **changes))

    def _prepare(self, connection: Connection, work: _Input, full: bool) -> None:
        """Makes `contributions` (what to merge, by `profile_id`), `assigned` and `touched(profile_id)`."""
        self._make_stored(connection)
        self.repeats.read(connection, -1 if full else self.number)
        recounted = self.repeats.find(connection, work.in_force, work.in_force.values() if full else work.new)
        self._fragments(connection, "every_fragment", work.in_force.values())
        if full:
            self.on_step("resolving identities")
            resolve_all(connection, "every_fragment", self.namespaces)
            connection.execute("CREATE TEMP TABLE touched AS SELECT DISTINCT profile_id FROM stored_ids")
            connection.execute(f"CREATE TEMP VIEW contributions AS {self._assigned_fragments('every_fragment')}")
            return
        self._fragments(connection, "new_fragments", [*work.new, *recounted])
        self._fragments(connection, "old_fragments", [*work.replaced, *recounted], as_stored=True)
        self.on_step("resolving identities")
        self._find_components(connection)
        self._resolve_touched(connection)

    def _make_stored(self, connection: Connection) -> None:
        """The views `stored` (profiles as they are) and `stored_ids` (their identifiers, one a row)."""
        source = relation(self.lake.profiles, (file.path for file in files_of(self.lake.profiles)))
        if source is None:
            empty = "SELECT '' AS profile_id, '' AS component, '' AS namespace, '' AS value, CAST(NULL AS TIMESTAMPTZ) AS first WHERE FALSE"
            connection.execute(f"CREATE TEMP VIEW stored_ids AS {empty}")
            return
        connection.execute(f"CREATE TEMP VIEW stored AS SELECT * FROM {source}")
        connection.execute(
            """CREATE TEMP VIEW stored_ids AS
            SELECT profile_id, component, i.namespace AS namespace, i.value AS value, i.first_seen AS first
            FROM (SELECT profile_id, _component AS component, unnest(_identifiers) AS i FROM stored)"""
        )

    def _fragments(self, connection: Connection, view: str, loads: Iterable[Load], *, as_stored: bool = False) -> None:
        """A view over the fragments of loads, streams side by side; every column of every stream is there."""
        parts = self.repeats.fragments(connection, loads, as_stored=as_stored)
        connection.execute(f"CREATE TEMP VIEW {view} AS {' UNION ALL BY NAME '.join([self._no_fragments(), *parts])}")

    def _no_fragments(self) -> str:
        ids = [f"CAST(NULL AS VARCHAR) AS {id_column(name)}" for name in self.namespaces]
        times = "CAST(NULL AS TIMESTAMPTZ) AS _first, CAST(NULL AS TIMESTAMPTZ) AS _last, CAST(NULL AS BIGINT) AS _records, '' AS _identity"
        return f"SELECT {', '.join([times, *ids, *self._typed_nulls()])} WHERE FALSE"

    def _typed_nulls(self) -> list[str]:
        return [f"CAST(NULL AS {type_}) AS {column}" for field in self.fields for column, type_ in state_types(field).items()]

    def _find_components(self, connection: Connection) -> None:
        """`near(component, namespace, value, first, profile_id)`: the stored identifiers of every touched component."""
        for name in ("new", "old"):
            connection.execute(
                f"""CREATE TEMP TABLE {name}_ids AS
                SELECT DISTINCT namespace, value FROM ({nodes_query(f"{name}_fragments", self.namespaces)})"""
            )
        connection.execute("CREATE TEMP TABLE every_stored_id AS SELECT * FROM stored_ids")
        connection.execute(
            """CREATE TEMP TABLE near AS SELECT * FROM every_stored_id WHERE component IN (
                SELECT component FROM every_stored_id s
                SEMI JOIN (SELECT * FROM new_ids UNION ALL SELECT * FROM old_ids) t USING (namespace, value))"""
        )

    def _resolve_touched(self, connection: Connection) -> None:
        # Step 1: components as if everything stored were still linked. Whoever shares one with a replaced load, or with
        # a second exclusive identifier, is recomputed from fragments; the others can only grow together.
        stars = """SELECT f.namespace AS left_namespace, f.value AS left_value,
                n.namespace AS right_namespace, n.value AS right_value, n.first
            FROM near n JOIN (
                SELECT component, arg_min(namespace, (namespace, value)) AS namespace, arg_min(value, (namespace, value)) AS value
                FROM near GROUP BY component) f USING (component)
            WHERE (f.namespace, f.value) <> (n.namespace, n.value)"""
        connection.execute(
            f"""CREATE TEMP TABLE id_nodes AS {nodes_query("new_fragments", self.namespaces)}
            UNION ALL SELECT namespace, value, first FROM near"""
        )
        connection.execute(f"CREATE TEMP TABLE id_links AS {links_query('new_fragments', self.namespaces)} UNION ALL {stars}")
        assign(connection, self.namespaces)
        connection.execute(
            """CREATE TEMP TABLE recomputed AS SELECT namespace, value FROM assigned WHERE component IN (
                SELECT component FROM assigned GROUP BY component HAVING count(*) FILTER (rank = 0) > 1
                UNION SELECT component FROM assigned SEMI JOIN old_ids USING (namespace, value))"""
        )
        # Step 2: the links that count. Recomputed identifiers take theirs from fragments alone.
        somewhere = " OR ".join(
            f"{id_column(name)} IN (SELECT value FROM recomputed WHERE namespace = {quote(name)})" for name in self.namespaces
        )
        source = (
            f"SELECT * FROM every_fragment WHERE {somewhere}"
            if rows(connection, "SELECT 1 FROM recomputed LIMIT 1")
            else "SELECT * FROM every_fragment WHERE FALSE"
        )
        connection.execute(f"CREATE TEMP TABLE recomputed_fragments AS {source}")
        head_namespace, head_value = head_query(self.namespaces)
        connection.execute(
            f"""CREATE TEMP VIEW merged_fragments AS SELECT * FROM new_fragments
            WHERE ({head_namespace}, {head_value}) NOT IN (SELECT (namespace, value) FROM recomputed)"""
        )
        connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM near ANTI JOIN recomputed USING (namespace, value)")
        nodes = " UNION ALL ".join(
            [
                nodes_query("recomputed_fragments", self.namespaces),
                nodes_query("merged_fragments", self.namespaces),
                "SELECT namespace, value, first FROM kept",
            ]
        )
        links = " UNION ALL ".join(
            [
                links_query("recomputed_fragments", self.namespaces),
                links_query("merged_fragments", self.namespaces),
                stars.replace("near", "kept"),
            ]
        )
        connection.execute(f"CREATE OR REPLACE TEMP TABLE id_nodes AS {nodes}")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE id_links AS {links}")
        assign(connection, self.namespaces)
        connection.execute("CREATE TEMP TABLE touched AS SELECT DISTINCT profile_id FROM near")
        self._make_contributions(connection)

    def _make_contributions(self, connection: Connection) -> None:
        parts = [self._assigned_fragments("recomputed_fragments"), self._assigned_fragments("merged_fragments")]
        if rows(connection, "SELECT 1 FROM kept LIMIT 1"):
            stored = self._stored_columns(connection)
            columns = [column for column in state_columns(self.fields) if column in stored]
            moved = """SELECT k.profile_id AS old_id, any_value(a.profile_id) AS profile_id
                FROM kept k JOIN assigned a USING (namespace, value) GROUP BY k.profile_id"""
            parts.append(
                f"""SELECT m.profile_id, s.first_seen AS _first, s.last_seen AS _last, s._records,
                    {", ".join(f"s.{column}" for column in columns)}
                FROM stored s JOIN ({moved}) m ON m.old_id = s.profile_id"""
            )
        connection.execute(f"CREATE TEMP TABLE contributions AS {' UNION ALL BY NAME '.join(parts)}")

    def _stored_columns(self, connection: Connection) -> set[str]:
        return {identifier(row["column_name"]) for row in rows(connection, "SELECT column_name FROM (DESCRIBE stored)")}

    def _assigned_fragments(self, source: str) -> str:
        """SQL for fragments with the profile they belong to: that of their most trusted identifier."""
        head_namespace, head_value = head_query(self.namespaces)
        columns = ", ".join(["_first", "_last", "_records", *state_columns(self.fields)])
        headed = f"SELECT *, {head_namespace} AS _head_namespace, {head_value} AS _head_value FROM {source}"
        return f"""SELECT a.profile_id, {columns} FROM ({headed}) f
            JOIN assigned a ON a.namespace = f._head_namespace AND a.value = f._head_value"""

    def _merge_and_commit(self, connection: Connection, work: _Input, full: bool) -> dict[str, int]:
        self.on_step("merging profiles")
        merged = merge_query("contributions", ["profile_id"], self.fields, Times.STORED)
        build = self.number + 1
        connection.execute(
            f"""CREATE TEMP TABLE fresh AS SELECT m.profile_id, m._first AS first_seen, m._last AS last_seen,
                {", ".join(["m._records", *(f"m.{column}" for column in state_columns(self.fields))])},
                i._identifiers, i._component, len(i._identifiers) > {self.max_identifiers} AS _quarantined,
                CAST({build} AS BIGINT) AS _build
            FROM ({merged}) m JOIN (
                SELECT profile_id, min(component) AS _component,
                    list({{'namespace': namespace, 'value': value, 'first_seen': first}} ORDER BY rank, value) AS _identifiers
                FROM assigned GROUP BY profile_id) i USING (profile_id)"""
        )
        self.on_step("writing profiles")
        added, buckets = self._write_buckets(connection, full)
        removed = [file.path for file in files_of(self.lake.profiles) if full or int(file.partition["bucket"]) in buckets]
        self.repeats.write(connection, build)
        schema = schema_of(connection, "SELECT * FROM fresh", self.lake.profiles)
        commit(
            self.lake.profiles,
            schema,
            add=added,
            remove=removed,
            expected_version=self.version,
            transactions={"loads": work.sequence, "build": build, **self.settings},
            metadata={"build": str(build), "loads_version": str(work.sequence)},
        )
        return self._write_companions(connection, build, full, buckets)

    def _write_buckets(self, connection: Connection, full: bool) -> tuple[list[NewFile], set[int]]:
        """Writes every touched bucket anew: its untouched profiles as they are, and the fresh ones."""
        ids = "SELECT profile_id FROM fresh UNION ALL SELECT profile_id FROM touched"
        found = rows(connection, f"SELECT DISTINCT {bucket_of('profile_id')} AS bucket FROM ({ids})")
        buckets = {row["bucket"] for row in found}
        token = new_token()
        added = []
        for bucket in sorted(buckets):
            query = f"SELECT * FROM fresh WHERE {bucket_of('profile_id')} = {bucket}"
            old = [] if full else [file.path for file in files_of(self.lake.profiles) if int(file.partition["bucket"]) == bucket]
            source = relation(self.lake.profiles, old)
            if source is not None:
                kept = f"SELECT * EXCLUDE (bucket) FROM {source} ANTI JOIN touched USING (profile_id)"
                query = f"{query} UNION ALL BY NAME ({kept})"
            file = write_file(connection, query, self.lake.profiles, {"bucket": str(bucket)}, token)
            added += [file] if file else []
        return added, buckets

    def _write_companions(self, connection: Connection, build: int, full: bool, buckets: set[int]) -> dict[str, int]:
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
        write_identifiers(self.lake, connection, build, None if full else buckets)
        return {
            "inserted": counts.get("inserted", 0),
            "updated": counts.get("updated", 0),
            "merged_away": counts.get("merged_away", 0),
            "conflicts": rows(connection, "SELECT count(*) AS n FROM refused")[0]["n"],
        }

    def _repair(self, applied: Iterable[Load]) -> None:
        """Writes the tables beside `profiles` that a kill kept the last build from writing."""
        with self.lake.workspace() as (connection, _):
            self.repeats.read(connection, self.number)
            self._fragments(connection, "applied_fragments", applied)
            resolve_all(connection, "applied_fragments", self.namespaces)
            write_missing_changes(self.lake, connection, self.number)
            write_conflicts(self.lake, connection, self.number, None)
            write_identifiers(self.lake, connection, self.number, None)

    def _other_settings(self) -> bool:
        """Whether the last build was made by other settings."""
        before = {name: transaction_of(self.lake.profiles, name) for name in self.settings}
        return self.settings != {name: _DEFAULTS[name] if value is None else value for name, value in before.items()}

    def _report(self, report: BuildReport) -> BuildReport:
        counted = count_profiles(self.lake) | {"repeated_keys": count_repeated(self.lake, report.build)}
        return BuildReport(**(vars(report) | counted))


def _input(committed: list[Load], applied: int) -> _Input:
    now, before = in_force(committed), in_force(committed, applied)
    new = [load for name, load in now.items() if name not in before or before[name].attempt != load.attempt]
    replaced = [before[load.load] for load in new if load.load in before]
    return _Input(max((load.sequence for load in committed), default=0), now, new, replaced)


def _superseded(committed: list[Load]) -> set[str]:
    """Attempts that were in force once and are not any more."""
    now = {load.attempt for load in in_force(committed).values()}
    return {load.attempt for load in committed} - now
