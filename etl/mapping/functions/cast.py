"""`cast(x, "type")`: a value as another type."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.mapping.conversions import Value, int_of, is_empty, text_of
from etl.mapping.functions import Example, Function, check_word
from etl.mapping.scope import Scope
from etl.mapping.tree import Call


def _cast(scope: Scope, value: Value, kind: Value) -> str | int | datetime | None:
    name = text_of(kind) or ""
    if is_empty(value):
        return None
    if name == "int":
        return int_of(value)
    if name == "time":
        from etl.mapping.dates import time_of

        return time_of(value, scope.time)
    # Type names are lower case but for `char`, which is the word of SQL.
    return text_of(value) if name in ("string", "[]byte") or name.lower() == "char" else None


def _suspect(call: Call) -> None:
    check_word(call, 1, ("string", "int", "time", "char", "[]byte"), "type", _OTHER_WORDS)


_OTHER_WORDS = {
    **dict.fromkeys(("integer", "bigint", "long", "smallint"), "did you mean 'int'?"),
    **dict.fromkeys(("varchar", "text"), "did you mean 'string'?"),
    **dict.fromkeys(("date", "datetime", "timestamp", "timestamptz"), "did you mean 'time'?"),
    **dict.fromkeys(("number", "float", "double", "decimal", "numeric", "real"), "a number is tonumber(x)"),
    **dict.fromkeys(("bool", "boolean"), "a bool is tobool(x)"),
}


FUNCTION = Function(
    name="cast",
    signature='cast(x, "type")',
    summary="The value as `string`, `int`, `time` or `char` (text). Missing for empty values and for what cannot be read so. "
    "`cast(x AS type)` is the same.",
    group="numbers",
    least=2,
    most=2,
    gives="any",
    kernel=_cast,
    needs_scope=True,
    parses=True,
    suspect=_suspect,
    examples=(
        Example('cast(x, "int")', {"x": "22.9"}, 22),
        Example('cast(x, "string")', {"x": [1, "a"]}, "1,a"),
        Example('cast(x, "char")', {"x": 1.5}, "1.5"),
        Example('cast(x, "time")', {"x": "2022-11-21"}, datetime(2022, 11, 21, tzinfo=UTC)),
        Example('cast(x, "string")', {"x": ""}, "missing"),
    ),
)
