"""Files that are forwarded, in the lake: the raw file in landing, its rejects, and its row in `loads` once all is settled.

A forwarded file gives the lake no rows and no profile, so its load has `rows` 0; `details` tells what was sent.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.destinations.receipts import Rejected
from etl.engines.local import connect, rows
from etl.engines.sql import quote
from etl.lake.attempts import file_name, remove_attempts
from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING, Load, all_loads, commit_loads
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, write_file
from etl.landing.manifest import MANIFEST, Landed, LoadId, read_manifest
from etl.landing.store import arriving, place
from etl.settings import Clock

_SUMMED = ("lines", "events", "acknowledged", "rejects", "duplicates", "left_out")


def is_forwarded(lake: Lake, load: LoadId) -> bool:
    """Whether this content has been sent on."""
    return bool(all_loads(lake, forwarded=True, named=[str(load)]))


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


def land_file(lake: Lake, load: LoadId, file: Path, clock: Clock) -> Landed:
    """The file in landing, as it is: what an earlier run landed, or a new attempt."""
    folder = lake.landing / load.folder
    for known in sorted(folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else ():
        return read_manifest(known.parent)
    attempt = secrets.token_hex(8)
    with arriving(lake.landing, attempt) as arrived:
        _link_or_copy(file, arrived / file.name)
        return place(lake.landing, Landed(load, attempt, arrived, (file.name,), clock.now(), (arrived / file.name).stat().st_size))


def commit_file(
    lake: Lake, landed: Landed, job: str, counts: dict[str, Any], rejections: Iterable[Rejected], *, stream: str, clock: Clock
) -> None:
    """Puts the rejects of a file and its row of `loads` in force. Doing it again changes nothing.

    `counts` has at least `lines` and `mapping`, and `stream` is the name that the rejects get.
    """
    found = list(rejections)
    day = landed.time.astimezone(UTC).date()
    row = Load(
        load=str(landed.load),
        stream=FORWARDING,
        scope=landed.load.scope,
        unit=landed.load.unit,
        attempt=landed.attempt,
        date=day,
        time=landed.time.astimezone(UTC),
        lines=counts["lines"],
        records=counts["lines"] - sum(1 for one in found if one.key.startswith("line:")),
        rows=0,
        duplicates=counts.get("duplicates", 0),
        rejects=len(found),
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
    with lake.writing():
        remove_attempts(lake.rejects, [landed.attempt])
        if found:
            _add_rejects(lake, landed, found, stream, day.isoformat())
        commit_loads(lake, [row], lambda new, old: old is None or old.attempt != new.attempt)


def _add_rejects(lake: Lake, landed: Landed, found: list[Rejected], stream: str, day: str) -> None:
    load = str(landed.load)
    made = [
        {"stream": stream, "member": landed.members[0], "load": load, "_attempt": landed.attempt}
        | {name: value for name, value in asdict(one).items() if name != "key"}
        for one in found
    ]
    texts = ("stream", "member", "code", "text", "reason", "load", "_attempt")
    schema = pa.schema([*((name, pa.string()) for name in texts), ("line", pa.int64())])
    with lake.workspace() as (connection, _):
        connection.register("refused", pa.Table.from_pylist(made, schema=schema))
        query = "SELECT * FROM refused ORDER BY line"
        file = write_file(connection, query, lake.rejects, {"date": day}, file_name(f"{load}-{new_token()}", landed.attempt))
        commit(lake.rejects, schema_of(connection, query, lake.rejects), add=[file] if file else [])


def _link_or_copy(file: Path, target: Path) -> None:
    """A finished file never changes, so a second name for it is as good as a copy."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
