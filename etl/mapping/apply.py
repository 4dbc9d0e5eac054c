"""A mapping with `into: event` on one record after the other: what is sent on to another API.

Records are Python objects here and few of them arrive at once, so each expression runs as the interpreter's function, which
keeps the JSON type of a value; the mapping is compiled to these functions once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from etl.errors import MappingError
from etl.mapping.conversions import Value
from etl.mapping.dates import time_of
from etl.mapping.fitting import fitted
from etl.mapping.interpret import Evaluator, interpreter
from etl.mapping.kinds import Kind
from etl.mapping.model import Field, Source
from etl.mapping.model import Mapping as MappingFile
from etl.mapping.parser import parse
from etl.mapping.paths import Path, nested, path_of
from etl.mapping.registry import read_by
from etl.mapping.scope import Scope

Event = dict[str, Any]

_NOTHING: tuple[Any, ...] = (None, "", [], {})


@dataclass
class EventCounts:
    """What came of the records: `events` made, `left_out` by `where`; and by field, values that did not fit its kind."""

    events: int = 0
    left_out: int = 0
    misfits: dict[str, int] = field(default_factory=dict)


class EventMapping:
    """A mapping that gives events, ready for use. Raises MappingError for one that gives fields of profiles."""

    def __init__(self, mapping: MappingFile) -> None:
        if not mapping.gives_events:
            raise MappingError(
                f"the mapping {mapping.name} gives fields of profiles, not events to send on",
                where={"file": mapping.path},
                next_step="name a mapping with `into: event`",
            )
        self.mapping = mapping
        # Many fields share a condition: each is asked once for a record.
        texts = [source.guard.text for one in mapping.fields for source in one.sources if source.guard]
        self._guards = {text: interpreter(parse(text)) for text in dict.fromkeys(texts)}
        self._fields = [_EventField.of(one) for one in mapping.fields]
        self._time = interpreter(mapping.time.node) if mapping.time else None
        self._where = interpreter(mapping.where.node) if mapping.where else None

    def events(self, records: Iterable[Mapping[str, Any]], counts: EventCounts | None = None) -> Iterator[Event]:
        """The events of records, in their order."""
        for record in records:
            if (made := self.event(record, counts=counts)) is not None:
                yield made

    def event(self, record: Mapping[str, Any], time: datetime | None = None, counts: EventCounts | None = None) -> Event | None:
        """The event of a record, as JSON has it; None where `where` leaves the record out.

        `record` is a JSON object as Python has it. A field without a value is not in the event; an empty list is one, since
        it says that there is nothing any more. `time` is the message time of records that bring none.
        """
        values = self.values(record, time, counts)
        return None if values is None else nested((one.path, values[one.name]) for one in self._fields if one.name in values)

    def values(self, record: Mapping[str, Any], time: datetime | None = None, counts: EventCounts | None = None) -> dict[str, Any] | None:
        """The same by the names of the fields, before they are put in their places."""
        counts = EventCounts() if counts is None else counts
        scope = Scope(record, self.time(record) or time)
        if self._where is not None and self._where(scope) is not True:
            counts.left_out += 1
            return None
        counts.events += 1
        found: dict[str, Any] = {}
        asked: dict[str, bool] = {}

        def is_open(guard: str) -> bool:
            if guard not in asked:
                asked[guard] = self._guards[guard](scope) is True
            return asked[guard]

        for one in self._fields:
            value, misfit = one.value(scope, is_open)
            if value is not None:
                found[one.name] = value
            elif misfit:
                counts.misfits[one.name] = counts.misfits.get(one.name, 0) + 1
        return found

    def time(self, record: Mapping[str, Any]) -> datetime | None:
        """The record's own time by the mapping."""
        return None if self._time is None else time_of(self._time(Scope(record)), None)


@dataclass(frozen=True)
class _EventSource:
    """One way to a field's value, behind its guard. `read` gives what is read as something else (a date, an address): where it is
    there and the value is not, it could not be read."""

    value: Evaluator
    guard: str | None
    read: Evaluator | None

    @staticmethod
    def of(source: Source) -> _EventSource:
        node = source.expression.node
        text = read_by(node)
        guard = source.guard.text if source.guard else None
        return _EventSource(interpreter(node), guard, None if text is None else interpreter(text))


@dataclass(frozen=True)
class _EventField:
    name: str
    path: Path
    sources: tuple[_EventSource, ...]
    fit: Callable[[Value], Any]

    @staticmethod
    def of(field: Field) -> _EventField:
        path = path_of(field.name)
        assert path is not None  # the mapping is checked
        return _EventField(field.name, path, tuple(_EventSource.of(one) for one in reversed(field.sources)), _fit_of(field.kind))

    def value(self, scope: Scope, is_open: Callable[[str], bool]) -> tuple[Any, bool]:
        """The value, of several sources the last one's that has one; and whether there was one that did not fit."""
        misfit = False
        for source in self.sources:
            if source.guard is not None and not is_open(source.guard):
                continue
            raw = source.value(scope)
            if raw is None:
                misfit = misfit or (source.read is not None and source.read(scope) not in _NOTHING)
                continue
            if (value := self.fit(raw)) is not None:
                return value, misfit
            misfit = misfit or raw not in _NOTHING
        return None, misfit


def _fit_of(kind: Kind) -> Callable[[Value], Any]:
    if kind.name == "value":
        return _json
    if kind.name == "map[string]value":
        return lambda value: (_json(value) or None) if isinstance(value, dict) else None
    if kind.is_list:
        return lambda value: [] if value == [] else _json(fitted(value, kind))
    return lambda value: _json(fitted(value, kind))


def _json(value: Value) -> Any:
    """The value as JSON has it: dates as ISO text, members without a value left out."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _json(member) for key, member in value.items() if member is not None}
    return [_json(member) for member in value] if isinstance(value, list) else value
