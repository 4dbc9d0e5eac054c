"""`uuid()`: an identifier for the record."""

from __future__ import annotations

import json
from uuid import NAMESPACE_URL, uuid5

from etl.mapping.functions import Example, Function
from etl.mapping.scope import Scope

_NAMESPACE = uuid5(NAMESPACE_URL, "profilemill:record")


def _uuid(scope: Scope) -> str | None:
    try:
        content = json.dumps([dict(scope.record), scope.time], sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):  # keys of several types, circles: no record read from JSON has them
        return None
    return str(uuid5(_NAMESPACE, content))


FUNCTION = Function(
    name="uuid",
    signature="uuid()",
    summary="An identifier made from the record's content and message time, so that the same record always gets the same one. "
    "Two records that are equal in all of that share it, and so do two calls on one record.",
    group="hashing",
    least=0,
    most=0,
    gives="string",
    kernel=_uuid,
    needs_scope=True,
    reads_record=True,
    examples=(Example("uuid()", {"a": 1}, str(uuid5(_NAMESPACE, '[{"a": 1}, null]'))),),
)
