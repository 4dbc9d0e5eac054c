"""The cohort memberships that destinations may get beside the profiles: the lake's table of them, a file for each cohort."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etl.engines.sql import identifier
from etl.lake.layout import Lake
from etl.lake.tables import files_of, relation
from etl.landing.snapshot import STREAM
from etl.profiles.fields import namespaces, stream_fields

NAME = "cohort_memberships"


@dataclass(frozen=True)
class Memberships:
    """The table at one moment. A cohort that changes gets another file; `by` are the names of the identifiers."""

    lake: Lake
    by: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of every column."""
        ids = dict.fromkeys(self.by, "VARCHAR")
        return {
            "scope": "VARCHAR",
            "cohort_id": "VARCHAR",
            "cohort_name": "VARCHAR",
            **ids,
            "entered": "TIMESTAMPTZ",
            "left": "TIMESTAMPTZ",
        }

    def query(self, files: Iterable[str]) -> str:
        """SQL for the memberships in some of the files."""
        typed = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in self.columns.items())
        source = relation(self.lake.cohort_memberships, files)
        query = f"SELECT {typed} WHERE FALSE"
        if source is not None:
            query = f"({query}) UNION ALL BY NAME (SELECT * FROM {source})"
        return f"SELECT {', '.join(map(identifier, self.columns))} FROM ({query})"


def current_memberships(lake: Lake) -> Memberships:
    """The table as it is now, empty where no cohort was ever imported."""
    streams = stream_fields(lake)
    # Before the first cohort, the names that events have: readers find the columns that will be there.
    by = streams[STREAM].by if STREAM in streams else namespaces(list(streams.values()))
    files = sorted(file.path for file in files_of(lake.cohort_memberships))
    return Memberships(lake, tuple(by), tuple(files))
