"""Files that are forwarded, in the lake: the raw file in landing, its rejects, and its row in `loads` once all is settled.

A forwarded file gives the lake no rows and no profile, so its load has `rows` 0; `details` tells what was sent.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from etl.destinations.receipts import Rejected
from etl.engines.local import connect, rows
from etl.engines.sql import quote
from etl.lake.attempts import file_name, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING, Load, all_loads, commit_loads, compact_loads
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, write_file
from etl.landing.manifest import MANIFEST, Landed, LoadId, read_manifest
from etl.landing.store import arriving, place
from etl.settings import Clock

# Each commit adds a file to the table; beyond this many they become one.
_MOST_FILES = 100
# What a landed file tells how many lines of people were left out by.
FORGOTTEN = "forgotten"
_SUMMED = ("lines", "events", "acknowledged", "rejects", "duplicates", "left_out")


@dataclass(frozen=True)
class Settled:
    """A file of which no event is left: `counts` has at least `lines`, `left_out`, `mapping` and `file`."""

    landed: Landed
    counts: dict[str, Any]
    rejections: tuple[Rejected, ...]


def forwarded_among(lake: Lake, loads: Iterable[LoadId]) -> set[str]:
    """Which of these contents have been sent on."""
    return {load.load for load in all_loads(lake, forwarded=True, named=[str(load) for load in loads])}


def forwarded_counts(lake: Lake, job: str) -> dict[str, Any]:
    """The `files` that a job is done with, the name of the `newest`, and the sums of their counts."""
    source = relation(lake.loads, (file.path for file in files_of(lake.loads) if file.partition["stream"] == FORWARDING))
    if source is None:
        return {"files": 0, "newest": None} | dict.fromkeys(_SUMMED, 0)
    sums = ", ".join(f"CAST(coalesce(sum(CAST(details->>'$.{name}' AS BIGINT)), 0) AS BIGINT) AS {name}" for name in _SUMMED)
    connection = connect()
    try:
        (found,) = rows(
            connection,
            f"""SELECT count(*) AS files, arg_max(details->>'$.file', committed_at) AS newest, {sums} FROM (
            SELECT * FROM {source} WHERE scope = {quote(job)} QUALIFY row_number() OVER (PARTITION BY load ORDER BY sequence DESC) = 1)""",
        )
    finally:
        connection.close()
    return found


def land_file(lake: Lake, load: LoadId, file: Path, clock: Clock, details: Mapping[str, int] = MappingProxyType({})) -> Landed:
    """The file in landing, as it is: what an earlier run landed, or a new attempt. `details` is kept with a new one."""
    folder = lake.landing / load.folder
    for known in sorted(folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else ():
        return read_manifest(known.parent)
    attempt = secrets.token_hex(8)
    with arriving(lake.landing, attempt) as arrived:
        _link_or_copy(file, arrived / file.name)
        size = (arrived / file.name).stat().st_size
        return place(lake.landing, Landed(load, attempt, arrived, (file.name,), clock.now(), size, dict(details)))


def commit_files(lake: Lake, job: str, stream: str, settled: Sequence[Settled], clock: Clock) -> None:
    """Puts the rejects of files and their rows of `loads` in force, all together. Doing it again changes nothing.

    `stream` is the name that the rejects get.
    """
    if not settled:
        return
    with lake.writing():
        remove_attempts(lake.rejects, [one.landed.attempt for one in settled])
        _add_rejects(lake, stream, [one for one in settled if one.rejections])
        commit_loads(lake, [_row(job, one, clock) for one in settled], lambda new, old: old is None or old.attempt != new.attempt)
        if sum(1 for file in files_of(lake.loads) if file.partition["stream"] == FORWARDING) > _MOST_FILES:
            compact_loads(lake)


def _row(job: str, one: Settled, clock: Clock) -> Load:
    landed, counts = one.landed, one.counts
    return Load(
        load=str(landed.load),
        stream=FORWARDING,
        scope=landed.load.scope,
        unit=landed.load.unit,
        attempt=landed.attempt,
        date=landed.time.astimezone(UTC).date(),
        time=landed.time.astimezone(UTC),
        lines=counts["lines"],
        records=counts["lines"] - sum(1 for rejection in one.rejections if rejection.key.startswith("line:")),
        rows=0,
        duplicates=counts.get("duplicates", 0),
        rejects=len(one.rejections),
        unidentified=0,
        early=0,
        bytes=landed.size,
        digest=landed.load.unit,
        mapping=counts["mapping"],
        job=job,
        misfits="{}",
        details=json.dumps(counts, ensure_ascii=False, sort_keys=True),
        committed_at=clock.now(),
    )


def _add_rejects(lake: Lake, stream: str, settled: Sequence[Settled]) -> None:
    if not settled:
        return
    texts = ("stream", "member", "code", "text", "reason", "load", "_attempt")
    schema = pa.schema([*((name, pa.string()) for name in texts), ("line", pa.int64())])
    query = "SELECT * FROM refused ORDER BY line"
    added = []
    with lake.workspace() as (connection, _):
        for one in settled:
            load, attempt = str(one.landed.load), one.landed.attempt
            made = [
                {"stream": stream, "member": one.landed.members[0], "load": load, "_attempt": attempt}
                | {name: value for name, value in asdict(rejection).items() if name != "key"}
                for rejection in one.rejections
            ]
            connection.register("refused", pa.Table.from_pylist(made, schema=schema))
            day = one.landed.time.astimezone(UTC).date().isoformat()
            file = write_file(connection, query, lake.rejects, {"date": day}, file_name(f"{load}-{new_token()}", attempt))
            added += [file] if file else []
        commit(lake.rejects, schema_of(connection, query, lake.rejects), add=added)


def _link_or_copy(file: Path, target: Path) -> None:
    """A finished file never changes, so a second name for it is as good as a copy."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
