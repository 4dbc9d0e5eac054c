"""`now()`: the record's message time."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope

_TIME = "2024-05-01T10:00:00+00:00"


def now(scope: Scope) -> datetime | None:
    return scope.time


FUNCTION = Function(
    name="now",
    signature="now()",
    summary="The record's message time.",
    group="dates",
    least=0,
    most=0,
    gives="date",
    kernel=now,
    needs_scope=True,
    examples=(Example("now()", {}, datetime(2024, 5, 1, 10, tzinfo=UTC), _TIME),),
)
