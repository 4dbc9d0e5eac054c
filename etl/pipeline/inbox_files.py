"""Files of an inbox on their way into the lake, and what a job notes about each beside its receipt."""

from __future__ import annotations

import secrets
from pathlib import Path

from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING
from etl.landing.manifest import MANIFEST, Landed, LoadId, read_manifest
from etl.landing.store import arriving
from etl.pipeline.forwarded import land_file
from etl.settings import Clock
from etl.sources import inbox
from etl.sources.inbox import Inbox, InboxFile


def journal_path(place: Inbox, file: str, job: str) -> Path:
    """What the destination said about each event so far."""
    return inbox.receipt_path(place, file, job).with_name(f"{place.stem(file)}.events.jsonl")


def land(lake: Lake, place: Inbox, file: InboxFile, job: str, clock: Clock) -> Landed:
    """The file in the lake. Raises NotFound where it is gone, and a TransientError where it cannot be read now."""
    note = inbox.receipt_path(place, file.name, job).with_name(f"{place.stem(file.name)}.landed.json")
    if file.version and (known := _landed_before(lake, note, file)) is not None:
        return known
    with arriving(lake.landing, secrets.token_hex(8)) as folder:
        path = place.fetch(file, folder)
        landed = land_file(lake, LoadId(FORWARDING, job, inbox.digest_of(path)), path, clock)
    if file.version:
        inbox.write_note(note, {"version": file.version, "folder": str(landed.folder.relative_to(lake.root))})
    return landed


def _landed_before(lake: Lake, note: Path, file: InboxFile) -> Landed | None:
    """An object that stays open for long is not read again each time."""
    noted = inbox.read_note(note)
    if noted is None or noted["version"] != file.version or not (lake.root / noted["folder"] / MANIFEST).is_file():
        return None
    return read_manifest(lake.root / noted["folder"])
