"""What a run did, as data: for the screen, for `--json`, for Airflow's XCom (counts and ids only)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
    misfits: dict[str, dict[str, Any]] = field(default_factory=dict)
    exits: int = 0
    downloaded_bytes: int = 0

    def add(self, other: ImportReport) -> None:
        """Adds another report of the same job to this one."""
        for name in ("loaded", "replaced", "unchanged", "empty", "open", "shrunk", "skipped"):
            getattr(self, name).extend(getattr(other, name))
        self.failed |= other.failed
        for name in ("lines", "rows", "duplicates", "rejects", "unidentified", "early", "exits", "downloaded_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, misfit in other.misfits.items():
            known = self.misfits.setdefault(name, {"count": 0, "samples": []})
            known["count"] += misfit["count"]
            known["samples"] = (known["samples"] + misfit["samples"])[:3]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> ImportReport:
        return ImportReport(**content)


@dataclass(frozen=True)
class BuildReport:
    """What a build did. `build` is its number (that of the last one when nothing was to do)."""

    build: int
    profiles: int
    inserted: int = 0
    updated: int = 0
    merged_away: int = 0
    loads: int = 0
    conflicts: int = 0
    quarantined: int = 0
    full: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.inserted or self.updated or self.merged_away)


@dataclass(frozen=True)
class LoadReport:
    """What loading a destination did: rows written, rows deleted, whether everything was written anew."""

    destination: str
    written: int
    deleted: int
    full: bool
    location: str
