"""A lake that breaks off where its tables are touched, as a kill would: before a commit, after one, or between two."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from deltalake import DeltaTable

from etl.lake.layout import Lake
from etl.lake.tables import Table


class BrokenOff(BaseException):
    """No error that anything could handle."""


@dataclass
class Fuse:
    """How many more tables may be opened; every commit opens its table before and after. None: any number.

    `commits` notes how many commits the lake had at each opening.
    """

    left: int | None = None
    commits: list[int] = field(default_factory=list)

    def burn(self, root: Path) -> None:
        if self.left == 0:
            raise BrokenOff
        if self.left is not None:
            self.left -= 1
        else:
            self.commits.append(sum(1 for _ in root.glob("**/_delta_log/*.json")))

    @property
    def points(self) -> list[int]:
        """After how many openings to break off to be just behind each commit."""
        return [place for place, (one, next_) in enumerate(pairwise(self.commits), start=1) if next_ > one]


@dataclass(frozen=True)
class FusedTable(Table):
    fuse: Fuse = field(default_factory=Fuse, compare=False)
    lake: Path = field(default_factory=Path, compare=False)

    def open(self, version: int | None = None) -> DeltaTable | None:
        self.fuse.burn(self.lake)
        return super().open(version)


@dataclass(frozen=True)
class FusedLake(Lake):
    fuse: Fuse = field(default_factory=Fuse, compare=False)

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        return self._fused(found) if isinstance(found, Table) else found

    def stream(self, name: str) -> Table:
        return self._fused(super().stream(name))

    def fragments(self, name: str) -> Table:
        return self._fused(super().fragments(name))

    def _fused(self, table: Table) -> Table:
        return FusedTable(table.path, table.partition_by, table.compression, self.fuse, self.root)
