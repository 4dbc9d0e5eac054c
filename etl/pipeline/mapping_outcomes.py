"""What came of a case of a mapping's tests; and how that is found out for mappings that give events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.mapping import Field
from etl.mapping.apply import EventMapping
from etl.mapping.values import loads
from etl.pipeline.mapping_cases import Case, shown

NOT_NAMED = "missing, by `exact`"


@dataclass(frozen=True)
class Difference:
    """Where a case went another way: a field (or a key of its map, or what else was expected) and why, if that is known."""

    field: str
    expected: str
    got: str
    why: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one case, which starts in `line` of its file."""

    name: str
    line: int
    differences: tuple[Difference, ...] = ()


def differences(field: str, wanted: Any, got: Any, why: Callable[[], str]) -> Iterator[Difference]:
    """Where two values of a field differ; maps by their keys. `why` tells why there is none."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in [*wanted, *(key for key in got if key not in wanted)]:
            if not _equal(wanted.get(key), got.get(key)):
                yield Difference(f"{field}.{key}", shown(wanted.get(key)), shown(got.get(key)))
    elif not _equal(wanted, got):
        yield Difference(field, shown(wanted), shown(got), why() if got is None else None)


def event_outcome(mapping: EventMapping, case: Case) -> Outcome:
    """What comes of a case with one record, which gives one event or is left out."""
    return Outcome(case.name, case.line, tuple(_of_event(mapping, case)))


def _of_event(mapping: EventMapping, case: Case) -> Iterator[Difference]:
    record, where = loads(case.records[0]), mapping.mapping.where
    values = mapping.values(record, case.time)
    if (values is None) != case.skipped:
        texts = ("left out", "mapped") if case.skipped else ("mapped", "left out")
        yield Difference("record", *texts, f"`where` is {where.text}" if where else "the mapping has no `where`")
        return
    if values is None:
        return
    if case.message_time is not None and (mapping.time(record) or case.time) != case.message_time:
        yield Difference("time", shown(case.message_time), shown(mapping.time(record)))
    for one in case.expected:
        wanted = one.value.isoformat() if isinstance(one.value, datetime) else one.value
        yield from differences(one.field, wanted, values.get(one.field), _why(mapping.mapping.field(one.field)))
    named = {one.field for one in case.expected}
    for name, value in values.items():
        if case.exact and name not in named:
            yield Difference(name, NOT_NAMED, shown(value))


def _why(field: Field) -> Callable[[], str]:
    return lambda: (
        "nothing there for "
        + " or ".join(source.expression.text + (f" if {source.guard.text}" if source.guard else "") for source in field.sources)
    )


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9)
    return type(left) is type(right) and bool(left == right)
