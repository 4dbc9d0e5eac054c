"""`now()`: the record's message time."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.mapping.dates import message_time
from etl.mapping.functions import Example, Function

_TIME = "2024-05-01T10:00:00+00:00"

FUNCTION = Function(
    name="now",
    signature="now()",
    summary="The record's message time; the time of the run where the record has none.",
    group="dates",
    least=0,
    most=0,
    gives="date",
    kernel=message_time,
    needs_scope=True,
    examples=(Example("now()", {}, datetime(2024, 5, 1, 10, tzinfo=UTC), _TIME),),
)
