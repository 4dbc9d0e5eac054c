"""The table `cohort_memberships`: who was in which cohort, from when to when.

It follows from the cohort loads in force alone: each snapshot, in the order of `lastComputed`, ends the open memberships of
those it does not name and begins those of the others. A snapshot that only adds (its job writes no exits) ends none, and where
no snapshots come any more, of a cohort that was deleted or deselected, nothing ends either.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from filelock import FileLock

from etl.engines.local import Connection, rows
from etl.engines.sql import identifier, quote
from etl.errors import LakeConflict
from etl.lake.attempts import rows_of
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
from etl.landing.snapshot import ADDS_ONLY, MEMBERS, STREAM
from etl.profiles.fields import stream_fields

_ATTEMPTS = 5


@dataclass(frozen=True)
class _Cohort:
    """A cohort of a project with its snapshots, oldest first."""

    scope: str
    id: str
    loads: tuple[Load, ...]

    @property
    def file_name(self) -> str:
        """What the names of this cohort's files begin with, up to the first dot."""
        return hashlib.sha256(f"{self.scope}\x1f{self.id}".encode()).hexdigest()[:24]


def update_memberships(lake: Lake, *, full: bool = False) -> int:
    """Brings the table up to the cohort loads in force; how many cohorts it wrote. `full` computes every cohort anew.

    One commit changes all of them, and it is made for the state that it was computed from: a kill or a second run changes
    nothing. Cohorts without a new or replaced snapshot keep their files.
    """
    lake.ensure_writable()
    with updating(lake):
        for _ in range(_ATTEMPTS):
            try:
                return _update(lake, full)
            except CommitConflict:
                continue
    raise LakeConflict("other writers changed the table `cohort_memberships` again and again", next_step="run again")


def updating(lake: Lake) -> FileLock:
    """Held while the table is brought up to date."""
    return FileLock(lake.root / ".memberships.lock")


def _update(lake: Lake, full: bool) -> int:
    version = version_of(lake.cohort_memberships)
    applied = 0 if full else transaction_of(lake.cohort_memberships, "loads") or 0
    committed = [load for load in all_loads(lake) if load.stream == STREAM]
    sequence = max((load.sequence for load in committed), default=0)
    fields = stream_fields(lake).get(STREAM)
    if fields is None or not fields.by or sequence == applied:
        return 0
    before = {(cohort.scope, cohort.id): cohort for cohort in _cohorts(in_force(committed, applied).values())}
    files = files_of(lake.cohort_memberships)
    removed: list[str] = []
    added: list[NewFile] = []
    changed = 0
    with lake.workspace() as (connection, _):
        _make_open(connection, fields.by)
        for cohort in _cohorts(in_force(committed).values()):
            known = before.get((cohort.scope, cohort.id))
            done = _attempts(known.loads) if known else []
            if _attempts(cohort.loads) == done:
                continue
            changed += 1
            own = [file.path for file in files if file.path.startswith(f"{cohort.file_name}.")]
            grows = bool(done) and _attempts(cohort.loads[: len(done)]) == done
            _fold(connection, lake, cohort, fields.by, own if grows else [], len(done) if grows else 0)
            file = write_file(connection, "SELECT * FROM memberships", lake.cohort_memberships, {}, f"{cohort.file_name}.{new_token()}")
            removed += own
            added += [file] if file else []
        schema = schema_of(connection, "SELECT * FROM memberships", lake.cohort_memberships)
    commit(lake.cohort_memberships, schema, add=added, remove=removed, expected_version=version, transactions={"loads": sequence})
    return changed


def _cohorts(loads: Iterable[Load]) -> list[_Cohort]:
    found: defaultdict[tuple[str, str], list[Load]] = defaultdict(list)
    for load in loads:
        details = json.loads(load.details)
        if "cohort_id" in details:
            found[(load.scope, str(details["cohort_id"]))].append(load)
    return [_Cohort(scope, id_, tuple(sorted(own, key=lambda load: load.time))) for (scope, id_), own in sorted(found.items())]


def _attempts(loads: Sequence[Load]) -> list[str]:
    return [load.attempt for load in loads]


def _make_open(connection: Connection, by: Sequence[str]) -> None:
    ids = ", ".join(f"CAST(NULL AS VARCHAR) AS {identifier(name)}" for name in by)
    connection.execute(
        f"""CREATE TEMP TABLE memberships AS SELECT '' AS scope, '' AS cohort_id, '' AS cohort_name, {ids},
        CAST(NULL AS TIMESTAMPTZ) AS entered, CAST(NULL AS TIMESTAMPTZ) AS "left" WHERE FALSE"""
    )


def _fold(connection: Connection, lake: Lake, cohort: _Cohort, by: Sequence[str], files: list[str], done: int) -> None:
    """Makes `memberships` those of the cohort: what `files` hold, after which its snapshots from number `done` on came."""
    connection.execute("DELETE FROM memberships")
    source = relation(lake.cohort_memberships, files)
    if source is not None:
        connection.execute(f"INSERT INTO memberships BY NAME SELECT * FROM {source}")
    for load in cohort.loads[done:]:
        details = json.loads(load.details)
        _add_snapshot(connection, _members(lake, load, by), cohort, str(details["cohort_name"]), load.time, by, details.get("basis"))


def _members(lake: Lake, load: Load, by: Sequence[str]) -> str:
    """SQL for the members of a snapshot, by their identifiers; the rows of leavers are not among them."""
    source = rows_of(lake.stream(STREAM), [load.attempt])
    if source is None:
        if load.rows:  # replaced since the table `loads` was read
            raise CommitConflict(load.load)
        return f"SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {identifier(name)}' for name in by)} WHERE FALSE"
    names = ", ".join(f"CAST({identifier(name)} AS VARCHAR) AS {identifier(name)}" for name in by)
    return f"SELECT {names} FROM {source} WHERE _member = {quote(MEMBERS)}"


def _add_snapshot(
    connection: Connection, members: str, cohort: _Cohort, name: str, time: datetime, by: Sequence[str], basis: str | None
) -> None:
    # A member is told by its least trusted identifier: every row of a cohort file has an Amplitude id, many no user id.
    key, own_key = (f"coalesce({', '.join(_named(one, table) for one in reversed(by))}, NULL)" for table in ("", "memberships."))
    others = ", ".join(f"max({_filled(one)}) AS {identifier(one)}" for one in by)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE now_in AS SELECT {key} AS _key, {others} FROM ({members}) WHERE {key} IS NOT NULL GROUP BY {key}"
    )
    moment = f"CAST({quote(time.isoformat())} AS TIMESTAMPTZ)"
    open_ = '"left" IS NULL'
    stays = f"{key} IN (SELECT _key FROM now_in)"
    if basis != ADDS_ONLY:
        connection.execute(f'UPDATE memberships SET "left" = {moment} WHERE {open_} AND NOT ({stays})')
    known = ", ".join(f"{identifier(one)} = coalesce(n.{identifier(one)}, memberships.{identifier(one)})" for one in by)
    connection.execute(f"UPDATE memberships SET cohort_name = {quote(name)}, {known} FROM now_in n WHERE {open_} AND n._key = {own_key}")
    ids = ", ".join(identifier(one) for one in by)
    connection.execute(
        f"""INSERT INTO memberships BY NAME SELECT {quote(cohort.scope)} AS scope, {quote(cohort.id)} AS cohort_id,
            {quote(name)} AS cohort_name, {ids}, {moment} AS entered, CAST(NULL AS TIMESTAMPTZ) AS "left"
        FROM now_in WHERE _key NOT IN (SELECT {key} FROM memberships WHERE {open_})"""
    )


def _named(name: str, table: str) -> str:
    """SQL for an identifier with its name: a user id may look like an Amplitude id."""
    return f"{quote(name + '=')} || {_filled(name, table)}"


def _filled(name: str, table: str = "") -> str:
    return f"nullif({table}{identifier(name)}, '')"


def read_memberships(lake: Lake, cohort_id: str | None = None) -> list[dict[str, object]]:
    """The rows of the table, of one cohort or all, by cohort, member and time."""
    source = relation(lake.cohort_memberships, (file.path for file in files_of(lake.cohort_memberships)))
    if source is None:
        return []
    where = "" if cohort_id is None else f" WHERE cohort_id = {quote(cohort_id)}"
    with lake.workspace() as (connection, _):
        return rows(connection, f"SELECT * FROM {source}{where} ORDER BY ALL")
