"""What a run did, as data: for the screen, for `--json`, for Airflow's XCom (counts and ids only)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_SAMPLES = 3


@dataclass
class FieldCounts:
    """What came of one field over all records: each is one of `values` (a value of the field's kind), `missing`
    (nothing there), `skipped` (no guard let it through), `misfits` (something that could not be read; up to three of
    them, masked, in `samples`). `short_fractions` of the values are dates with fewer digits than their layout."""

    values: int = 0
    missing: int = 0
    skipped: int = 0
    misfits: int = 0
    short_fractions: int = 0
    samples: list[str] = field(default_factory=list)

    @property
    def evaluated(self) -> int:
        """Records whose guard let the expression be evaluated."""
        return self.values + self.missing + self.misfits

    def add(self, other: FieldCounts) -> None:
        for name in ("values", "missing", "skipped", "misfits", "short_fractions"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.samples = list(dict.fromkeys(self.samples + other.samples))[:MOST_SAMPLES]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "samples": list(self.samples)}


@dataclass
class ImportReport:
    """What an import did. `lines` counts every line that is not blank; `rejects` those that are no JSON object."""

    job: str
    loaded: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    shrunk: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    rows: int = 0
    duplicates: int = 0
    rejects: int = 0
    unidentified: int = 0
    early: int = 0
    filtered: int = 0
    fields: dict[str, FieldCounts] = field(default_factory=dict)
    exits: int = 0
    downloaded_bytes: int = 0

    def add(self, other: ImportReport) -> None:
        """Adds another report of the same job to this one."""
        for name in ("loaded", "replaced", "unchanged", "empty", "open", "shrunk", "skipped"):
            getattr(self, name).extend(getattr(other, name))
        self.failed |= other.failed
        for name in ("lines", "rows", "duplicates", "rejects", "unidentified", "early", "filtered", "exits", "downloaded_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.add_fields(other.fields)

    def add_fields(self, counts: dict[str, FieldCounts]) -> None:
        """Adds what came of fields."""
        for name, count in counts.items():
            self.fields.setdefault(name, FieldCounts()).add(count)

    @property
    def misfits(self) -> int:
        """Values of all fields that could not be read."""
        return sum(count.misfits for count in self.fields.values())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> ImportReport:
        content = dict(content)
        counts = {name: FieldCounts(**count) for name, count in content.pop("fields", {}).items()}
        return ImportReport(**content, fields=counts)


@dataclass(frozen=True)
class BuildReport:
    """What a build did. `build` is its number (that of the last one when nothing was to do). `repeated_keys` stand in more
    than one load."""

    build: int
    profiles: int
    inserted: int = 0
    updated: int = 0
    merged_away: int = 0
    loads: int = 0
    conflicts: int = 0
    quarantined: int = 0
    full: bool = False
    repeated_keys: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.inserted or self.updated or self.merged_away)


@dataclass(frozen=True)
class LoadReport:
    """What loading a destination did: rows written, rows deleted, whether everything was loaded, not changes alone.

    `replaced` values had NUL characters, which databases do not take, and got U+FFFD in their place; `too_long`
    identifiers are longer than databases index and stand in the profiles alone; `events` and cohort `memberships` were
    written beside the profiles, where the destination wants them. `left` are old versions that nobody needs and that
    could not be removed, with the reason; the next load tries again.
    """

    destination: str
    written: int
    deleted: int
    full: bool
    location: str
    replaced: int = 0
    too_long: int = 0
    events: int = 0
    left: tuple[str, ...] = ()
    memberships: int = 0


@dataclass
class ForwardingReport:
    """What a forwarding did. `files` are done; `open` have events left for a later run, `waiting` says why and how many.
    `changed` were written anew after they were sent, and are not read again.

    `events` are those of the files looked at, of which `acknowledged` were taken by the destination now, and `before` in
    earlier runs. `reasons` counts rejects by what the destination said. `skipped` are not meant to be sent, by reason.
    """

    job: str
    files: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    events: int = 0
    acknowledged: int = 0
    before: int = 0
    duplicates: int = 0
    rejects: int = 0
    requests: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, int] = field(default_factory=dict)

    def add(self, other: ForwardingReport) -> None:
        """Adds another report of the same job to this one."""
        for name in ("files", "open", "repeated", "changed"):
            getattr(self, name).extend(getattr(other, name))
        self.failed |= other.failed
        for name in ("lines", "events", "acknowledged", "before", "duplicates", "rejects", "requests"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("skipped", "waiting", "reasons", "misfits"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
