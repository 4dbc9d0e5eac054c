"""Forgetting people in what is forwarded: inboxes, the landed files, their rejects, receipts, and the list of used-up quotas.

What a receiver is writing to is left alone; the job that reads it later leaves the people out. A file that loses lines keeps
the name of its load, so that nothing of it is sent again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etl.durable import write_durably
from etl.engines.local import rows
from etl.errors import DamagedDownload, ProfilemillError
from etl.lake.attempts import attempt_of, file_name
from etl.lake.loads import FORWARDING
from etl.lake.tables import commit, files_of, new_token, relation, schema_of, write_file
from etl.landing.manifest import MANIFEST, read_manifest, write_json
from etl.landing.scrub import without_lines
from etl.landing.store import arriving
from etl.pipeline.inbox_files import cleaned, lines_of_people, note_rewritten, sending, unit_of
from etl.pipeline.project import Project
from etl.profiles.privacy import Suppression
from etl.sources import inbox
from etl.sources.inbox import TORN, FolderInbox, Inbox, InboxFile

# What people are known by in what is forwarded, beside the lake's own identifiers.
NAMES = ("user_id", "device_id", "email")


@dataclass
class Forwarded:
    """What went: lines of landed `files` and of each inbox, rejects, `notes` beside receipts, and torn files. `failed` are
    inboxes and files that may still hold the person, with the reason."""

    files: int = 0
    lines: int = 0
    rejects: int = 0
    notes: int = 0
    torn: int = 0
    inboxes: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def clean_forwarded(project: Project, suppression: Suppression, *, dry_run: bool, on_step: Callable[[str], None]) -> Forwarded:
    """Takes suppressed people out of everything that forwarding keeps. Waits for jobs that are sending."""
    return _Cleaning(project, suppression, dry_run, on_step).run()


class _Cleaning:
    def __init__(self, project: Project, suppression: Suppression, dry_run: bool, on_step: Callable[[str], None]) -> None:
        self.project, self.lake, self.suppression = project, project.lake, suppression
        self.dry_run, self.on_step, self.found = dry_run, on_step, Forwarded()

    def run(self) -> Forwarded:
        with contextlib.ExitStack() as held:
            for name in () if self.dry_run else sorted(self.project.jobs.forwardings):
                self.on_step(f"waiting for {name}")
                held.enter_context(sending(self.lake, name))
            self.on_step("reading forwarded files")
            gone = self._landing()
            self._rejects(gone)
            places = {place.place: place for place in map(self.project.inbox, self.project.jobs.forwardings.values())}
            for name, place in places.items():
                self.on_step(f"reading {name}")
                try:
                    self._inbox(place)
                except (ProfilemillError, OSError) as error:
                    self.found.failed[name] = str(error)
            self._quotas()
        return self.found

    def _landing(self) -> dict[str, set[int]]:
        """The lines that went, by attempt."""
        gone: dict[str, set[int]] = {}
        for path in sorted((self.lake.landing / FORWARDING).glob(f"**/{MANIFEST}")):
            landed = read_manifest(path.parent)
            (member,) = landed.members
            lines = gone[landed.attempt] = set()
            try:
                lines |= lines_of_people(landed.folder / member, self.suppression)
            except DamagedDownload as error:
                self.found.failed[str(landed.folder / member)] = f"{error.what}, and cannot be searched: remove it"
            if lines:
                self.found.files += 1
                self.found.lines += len(lines)
                if not self.dry_run:
                    without_lines(landed, {member: lines}).write(landed.folder)
        return gone

    def _rejects(self, gone: dict[str, set[int]]) -> None:
        table = self.lake.rejects
        for file in files_of(table):
            attempt = attempt_of(file)
            source = relation(table, [file.path]) if attempt in gone else None
            if source is None:
                continue
            with self.lake.workspace() as (connection, _):
                told = rows(connection, f"SELECT * FROM {source}")
                theirs = sorted({row["line"] for row in told if row["line"] in gone[attempt] or self._names(row)})
                if not theirs:
                    continue
                self.found.rejects += sum(row["line"] in theirs for row in told)
                if self.dry_run:
                    continue
                query = f"SELECT * EXCLUDE (date) FROM {source} WHERE line NOT IN ({', '.join(map(str, theirs))})"
                with self.lake.writing():
                    kept = write_file(connection, query, table, file.partition, file_name(f"{told[0]['load']}-{new_token()}", attempt))
                    commit(table, schema_of(connection, query, table), add=[kept] if kept else [], remove=[file.path])

    def _inbox(self, place: Inbox) -> None:
        for file in place.files():
            try:
                with arriving(self.lake.landing, secrets.token_hex(8)) as folder:
                    lines = self._file(place, file, folder)
            except DamagedDownload as error:
                self.found.failed[f"{place.place}/{file.name}"] = f"{error.what}, and cannot be searched: remove it"
                continue
            for job in _folders(place.receipts):
                self._journal(job / f"{place.stem(file.name)}.events.jsonl", lines)
        for job in _folders(place.receipts):  # of files that were removed since
            for path in sorted(job.glob("*.events.jsonl")):
                self._journal(path, set())
        for path in sorted((place.folder / TORN).glob("*")) if isinstance(place, FolderInbox) else ():
            if path.is_file() and self.suppression.names(path.read_bytes().decode("utf-8", "replace")):
                self.found.torn += 1
                if not self.dry_run:
                    path.unlink()

    def _file(self, place: Inbox, file: InboxFile, folder: Path) -> set[int]:
        path = place.fetch(file, folder)
        lines = lines_of_people(path, self.suppression)
        if lines:
            self.found.inboxes[place.place] = self.found.inboxes.get(place.place, 0) + len(lines)
        if self.dry_run:
            return lines
        if lines:
            clean = cleaned(path, lines, folder)
            # Known before it is there: a kill in between must not make it another load.
            note_rewritten(self.lake, inbox.digest_of(clean), unit_of(self.lake, inbox.digest_of(path)))
            path, file = clean, place.replace(file, clean)
        for job in _folders(place.receipts):
            self._receipt(place, file, job.name, path)
        return lines

    def _receipt(self, place: Inbox, file: InboxFile, job: str, path: Path) -> None:
        """A receipt is for the file as it is now."""
        receipt = inbox.read_receipt(place, file.name, job)
        if receipt is None or "size" not in receipt or (receipt["size"], receipt["version"]) == (file.size, file.version):
            return
        if str(receipt.get("load")).endswith(f"/{unit_of(self.lake, inbox.digest_of(path))}"):
            inbox.write_receipt(place, file, job, receipt)

    def _journal(self, path: Path, lines: set[int]) -> None:
        """Without refused events on these lines, and without keys that hold an id."""
        if not path.is_file():
            return
        content = path.read_bytes()
        before = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
        after = [self._entry(entry, lines) for entry in before]
        if after == before:
            return
        self.found.notes += sum(len(list_) for entry in before for list_ in entry.values())
        self.found.notes -= sum(len(list_) for entry in after for list_ in entry.values())
        if not self.dry_run:
            part = path.with_name(f".{path.name}.part")
            text = "".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n" for entry in after)
            write_durably(part, text.encode())
            part.replace(path)

    def _entry(self, entry: dict[str, Any], lines: set[int]) -> dict[str, Any]:
        kept = {name: list(given) for name, given in entry.items()}
        if "acknowledged" in kept:
            kept["acknowledged"] = [key for key in kept["acknowledged"] if not self._in_key(key)]
        if "rejected" in kept:
            told = kept["rejected"]
            kept["rejected"] = [one for one in told if one["line"] not in lines and not self._in_key(one["key"]) and not self._names(one)]
        return kept

    def _in_key(self, key: str) -> bool:
        """Keys of events that share an id end in that of the device or the user."""
        return self.suppression.holds([key, *(key[place + 1 :] for place, letter in enumerate(key) if letter == "-")])

    def _names(self, reject: dict[str, Any]) -> bool:
        return any(self.suppression.names(str(reject.get(name) or "")) for name in ("text", "reason"))

    def _quotas(self) -> None:
        for path in sorted((self.lake.state / "quotas").glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            kept = {sender: until for sender, until in content.items() if not self.suppression.holds([sender.partition(":")[2]])}
            self.found.notes += len(content) - len(kept)
            if kept != content and not self.dry_run:
                write_json(path, kept)


def _folders(receipts: Path) -> list[Path]:
    """The folders of the jobs that have read an inbox."""
    return sorted(path for path in receipts.iterdir() if path.is_dir()) if receipts.is_dir() else []
