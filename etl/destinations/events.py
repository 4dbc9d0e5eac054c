"""The mapped events that destinations may get beside the profiles: the rows of the loads in force, stream by stream."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from etl.engines.sql import identifier, quote
from etl.lake.attempts import attempt_of
from etl.lake.layout import Lake
from etl.lake.loads import Load, current_loads
from etl.lake.tables import DataFile, files_of, relation
from etl.profiles.fields import ProfileField, stream_fields

# What every event has beside its fields; no field is called so.
EVENT_KEYS = {"load": "VARCHAR", "date": "DATE", "_time": "TIMESTAMPTZ", "_key": "VARCHAR"}


@dataclass(frozen=True)
class Events:
    """A stream at one moment. `loads` are those in force, by load id; `replaced` are the ids of those that another run
    is just replacing, whose rows cannot be read any more."""

    lake: Lake
    stream: str
    fields: tuple[ProfileField, ...]
    loads: dict[str, Load]
    replaced: frozenset[str]
    files: dict[str, DataFile]

    def only(self, loads: Collection[str]) -> Events:
        """The same with no other loads than these."""
        return replace(self, loads={name: load for name, load in self.loads.items() if name in loads})

    def query(self, loads: Iterable[str]) -> str:
        """SQL for the events of some loads: the columns of `EVENT_KEYS`, then every field, null where a load has it not."""
        columns = {**EVENT_KEYS, **{field.name: field.kind.sql for field in self.fields}}
        typed = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in columns.items())
        attempts = [self.loads[load].attempt for load in loads]
        source = relation(self.lake.stream(self.stream), (self.files[one].path for one in attempts if one in self.files))
        query = f"SELECT {typed} WHERE FALSE"
        if source is not None:
            counting = f"_attempt IN ({', '.join(map(quote, attempts))})"
            query = f"({query}) UNION ALL BY NAME (SELECT * FROM {source} WHERE {counting})"
        return f"SELECT {', '.join(map(identifier, columns))} FROM ({query})"


def current_events(lake: Lake) -> list[Events]:
    """Every stream of the lake."""
    in_force = current_loads(lake)
    found = []
    for name, stream in sorted(stream_fields(lake).items()):
        files = {attempt_of(file): file for file in files_of(lake.stream(name))}
        loads = {load.load: load for load in in_force.values() if load.stream == name}
        replaced = frozenset(load.load for load in loads.values() if load.rows and load.attempt not in files)
        readable = {name: load for name, load in loads.items() if name not in replaced}
        found.append(Events(lake, name, stream.fields, readable, replaced, files))
    return found
