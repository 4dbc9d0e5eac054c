"""A lake that breaks off where its tables are touched, as a kill would: before a commit, after one, or between two."""

from __future__ import annotations

from dataclasses import dataclass, field

from deltalake import DeltaTable

from etl.lake.layout import Lake
from etl.lake.tables import Table


class BrokenOff(BaseException):
    """No error that anything could handle."""


@dataclass
class Fuse:
    """How many more tables may be opened; every commit opens its table before and after. None: any number."""

    left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise BrokenOff
            self.left -= 1


@dataclass(frozen=True)
class FusedTable(Table):
    fuse: Fuse = field(default_factory=Fuse, compare=False)

    def open(self) -> DeltaTable | None:
        self.fuse.burn()
        return super().open()


@dataclass(frozen=True)
class FusedLake(Lake):
    fuse: Fuse = field(default_factory=Fuse, compare=False)

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        return FusedTable(found.path, found.partition_by, self.fuse) if isinstance(found, Table) else found

    def stream(self, name: str) -> Table:
        return FusedTable(super().stream(name).path, super().stream(name).partition_by, self.fuse)

    def fragments(self, name: str) -> Table:
        return FusedTable(super().fragments(name).path, super().fragments(name).partition_by, self.fuse)
