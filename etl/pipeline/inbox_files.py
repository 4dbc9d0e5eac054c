"""Files of an inbox on their way into the lake, and what a job notes about each beside its receipt."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from etl.lake.layout import Lake
from etl.lake.loads import FORWARDING
from etl.landing.manifest import MANIFEST, Landed, LoadId, read_manifest, slug
from etl.landing.readers import raw_lines
from etl.landing.scrub import copy_without
from etl.landing.store import arriving
from etl.mapping.model import GUARD_VALUES
from etl.pipeline.forwarded import FORGOTTEN, land_file
from etl.profiles.privacy import Suppression, load_suppression
from etl.settings import Clock
from etl.sources import customerio, inbox, nami
from etl.sources.inbox import Inbox, InboxFile
from etl.sources.webhooks import object_of


def journal_path(place: Inbox, file: str, job: str) -> Path:
    """What the destination said about each event so far."""
    return inbox.receipt_path(place, file, job).with_name(f"{place.stem(file)}.events.jsonl")


def sending(lake: Lake, job: str) -> FileLock:
    """Held by the one run of a forwarding job."""
    return FileLock(lake.root / f".forwarding-{slug(job)}.lock")


def land(lake: Lake, place: Inbox, file: InboxFile, job: str, clock: Clock) -> Landed:
    """The file in the lake, without the lines of people who were forgotten. Raises NotFound where it is gone, and a
    TransientError where it cannot be read now."""
    note = inbox.receipt_path(place, file.name, job).with_name(f"{place.stem(file.name)}.landed.json")
    if file.version and (known := _landed_before(lake, note, file)) is not None:
        return known
    with arriving(lake.landing, secrets.token_hex(8)) as folder:
        path, suppression, forgotten = place.fetch(file, folder), load_suppression(lake), 0
        if suppression is not None and (lines := lines_of_people(path, suppression)):
            path, forgotten = cleaned(path, lines, folder), len(lines)
        load = LoadId(FORWARDING, job, unit_of(lake, inbox.digest_of(path)))
        landed = land_file(lake, load, path, clock, {FORGOTTEN: forgotten} if forgotten else {})
    if file.version:
        inbox.write_note(note, {"version": file.version, "folder": str(landed.folder.relative_to(lake.root))})
    return landed


def lines_of_people(path: Path, suppression: Suppression) -> set[int]:
    """The lines of a file that are about suppressed people, or are no JSON object and name one. A device counts only where
    no person is named. Raises DamagedDownload for a gzip file that cannot be read to its end."""
    found = set()
    for number, line in enumerate(raw_lines(path), start=1):
        webhook = object_of(line)
        if isinstance(webhook, str):
            theirs = bool(line.strip()) and suppression.names(line.decode("utf-8", "replace"))
        else:
            whom = [named(webhook) for named in (nami.named, customerio.named)]
            people = _ids(one for named in whom for one in named.people)
            theirs = suppression.holds(people or _ids(one for named in whom for one in named.devices))
        if theirs:
            found.add(number)
    return found


def _ids(values: Iterable[str]) -> set[str]:
    return {one for one in values if one.strip().lower() not in GUARD_VALUES}


def cleaned(path: Path, lines: set[int], folder: Path) -> Path:
    """A copy of the file without these lines, under its name in a new folder of `folder`. The others keep their numbers."""
    target = folder / "cleaned" / path.name
    target.parent.mkdir()
    copy_without(path, target, lines)
    return target


def unit_of(lake: Lake, digest: str) -> str:
    """Which load a content is: its own, or that of the content it was made from by taking people out."""
    return str((inbox.read_note(_rewritten(lake)) or {}).get(digest, digest))


def note_rewritten(lake: Lake, digest: str, unit: str) -> None:
    """Remembers which load a content is that was made from another one."""
    known = inbox.read_note(_rewritten(lake)) or {}
    if known.get(digest) != unit and digest != unit:
        inbox.write_note(_rewritten(lake), known | {digest: unit})


def _rewritten(lake: Lake) -> Path:
    return lake.state / "inboxes" / "rewritten.json"


def _landed_before(lake: Lake, note: Path, file: InboxFile) -> Landed | None:
    """An object that stays open for long is not read again each time."""
    noted = inbox.read_note(note)
    if noted is None or noted["version"] != file.version or not (lake.root / noted["folder"] / MANIFEST).is_file():
        return None
    return read_manifest(lake.root / noted["folder"])
