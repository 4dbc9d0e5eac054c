"""Where everything of a lake stands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from etl.engines.local import Connection, workspace
from etl.errors import ConfigurationError
from etl.lake.swap import swap_in
from etl.lake.tables import Table
from etl.landing.store import INCOMING
from etl.leftovers import remove_leftovers

_BY_DATE = {"date": "DATE"}


@dataclass(frozen=True)
class Lake:
    """A lake folder. Tables appear when something is first committed to them."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def scratch(self) -> Path:
        return self.root / ".scratch"

    @property
    def state(self) -> Path:
        """Small JSON files: anchors of jobs, request ids, the fields of each stream."""
        return self.root / "state"

    @property
    def loads(self) -> Table:
        return Table(self.root / "loads", {"stream": "VARCHAR"})

    @property
    def rejects(self) -> Table:
        return Table(self.root / "rejects", _BY_DATE)

    @property
    def profiles(self) -> Table:
        return Table(self.root / "profiles", {"bucket": "INTEGER"})

    @property
    def identifiers(self) -> Table:
        return Table(self.root / "identifiers", {"bucket": "INTEGER"})

    @property
    def changes(self) -> Table:
        return Table(self.root / "changes", {"build": "BIGINT"})

    @property
    def conflicts(self) -> Table:
        return Table(self.root / "conflicts", {"build": "BIGINT"})

    @property
    def repeated(self) -> Table:
        return Table(self.root / "repeated", {"build": "BIGINT"})

    @property
    def cohort_memberships(self) -> Table:
        return Table(self.root / "cohort_memberships")

    def stream(self, name: str) -> Table:
        return Table(self.root / "streams" / name, _BY_DATE)

    def fragments(self, name: str) -> Table:
        # Each build reads them, and nobody else.
        return Table(self.root / "fragments" / name, _BY_DATE, compression="lz4")

    @contextmanager
    def workspace(self, *, little: bool = False) -> Iterator[tuple[Connection, Path]]:
        """A database connection that spills into the lake, and a scratch folder; both gone afterwards. `little`: see `connect`."""
        with workspace(self.scratch, little=little) as pair:
            yield pair

    def writing(self) -> FileLock:
        """Held while files and commits are put into the tables: a rebuild moves tables only while nobody does."""
        return FileLock(self.root / ".tables.lock")

    def building(self) -> FileLock:
        """Held by the one builder of profiles."""
        return FileLock(self.root / ".build.lock")

    def ensure_folder(self) -> None:
        """Raises ConfigurationError where the lake's path leads to something that is no folder; it need not exist."""
        try:
            is_folder = self.root.is_dir() or not self.root.exists()
            below = next((parent for parent in self.root.parents if parent.exists()), None)
        except NotADirectoryError:
            is_folder, below = False, None
        if not is_folder or (below is not None and not below.is_dir()):
            raise ConfigurationError("the lake is not a folder", where={"lake": self.root}, next_step="correct `lake:` in jobs.yaml")

    def ensure_writable(self) -> None:
        """Creates the folder, finishes a rebuild that was killed while it moved its tables in, clears up after the dead.

        Raises ConfigurationError where the folder may not be made or written.
        """
        self.ensure_folder()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
            swap_in(self.root)
            remove_leftovers(self.scratch)
            remove_leftovers(self.landing / INCOMING)
        except OSError as error:
            raise ConfigurationError(
                "the lake folder cannot be written",
                where={"lake": self.root},
                value=error.strerror or str(error),
                next_step="correct `lake:` in jobs.yaml or the folder's permissions",
            ) from error
