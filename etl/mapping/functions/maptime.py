"""`maptime(key, t)`: a map of one key to an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from etl.mapping.conversions import is_empty, text_of
from etl.mapping.dates import time_of
from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope
from etl.mapping.texts import lower
from etl.mapping.values import is_scalar_list


def maptime(scope: Scope, key: Any, *time: Any) -> dict[str, datetime] | None:
    """One entry, or nothing where the key or the date is missing."""
    if is_empty(key) or isinstance(key, dict) or (isinstance(key, list) and not is_scalar_list(key)):
        return None
    text = text_of(key)
    found = time_of(time[0], scope.time) if time else scope.time
    return None if found is None or text is None else {str(lower(text)): found}


FUNCTION = Function(
    name="maptime",
    signature="maptime(key[, t])",
    summary="A map of one entry: the key in lower case, and the date t or else the message time. The date is read as by todate(x), "
    "date math included.",
    group="dates",
    least=1,
    most=2,
    gives="map[string]date",
    kernel=maptime,
    needs_scope=True,
    parses=True,
    examples=(
        Example("maptime(e)", {"e": "Hello"}, {"hello": datetime(2024, 5, 1, tzinfo=UTC)}, "2024-05-01T00:00:00+00:00"),
        Example('maptime(e, "2016-02-03T22:00:00")', {"e": "hello"}, {"hello": datetime(2016, 2, 3, 22, tzinfo=UTC)}),
        Example('maptime(e, "now-1d")', {"e": "a"}, {"a": datetime(2024, 4, 30, tzinfo=UTC)}, "2024-05-01T00:00:00+00:00"),
        Example('maptime(e, "not a date")', {"e": "hello"}, "missing"),
        Example("maptime(e)", {"e": ""}, "missing"),
    ),
)
