"""`match("prefix", ..)`: the flat keys that start with a prefix, without it."""

from __future__ import annotations

import json
import re
from typing import Any

from etl.engines.sql import quote
from etl.mapping.compile import MEMBERS, Compiler, Form, Sql, json_path
from etl.mapping.conversions import Value, single_text
from etl.mapping.functions import Example, Function
from etl.mapping.messages import ExpressionError
from etl.mapping.scope import Scope
from etl.mapping.tree import Call, Literal, Name
from etl.mapping.values import matched


def _kernel(scope: Scope, *prefixes: Value) -> dict[str, Any] | None:
    texts = [text for prefix in prefixes if not isinstance(prefix, list) and (text := single_text(prefix)) is not None]
    return matched(scope.record, texts) or None


def _check(call: Call) -> None:
    for argument in call.arguments:
        if not isinstance(argument, Name) and not (isinstance(argument, Literal) and isinstance(argument.value, str)):
            raise ExpressionError(
                "E203",
                "match takes prefixes as text",
                argument.start,
                argument.end,
                'for example match("event_properties.")',
            )


def _sql(compiler: Compiler, call: Call) -> Sql | None:
    prefixes = [str(argument.value) for argument in call.arguments if isinstance(argument, Literal)]
    if len(prefixes) < len(call.arguments):
        return None
    slow = f"pm_flatten_text(text, {quote(json.dumps(prefixes))})"
    only = prefixes[0]
    if len(prefixes) > 1 or only.count(".") != 1 or not only.endswith(".") or only == ".":
        return Sql(slow, Form.TEXT_MAP)
    return Sql(compiler.members(only[:-1]) or _members_of(compiler, only[:-1], slow), Form.TEXT_MAP)


def _members_of(compiler: Compiler, parent: str, slow: str) -> str:
    """The fast path for `match("parent.")`: the object's own members as read by DuckDB, while all of them are scalars.

    Nested members, lists and floats that DuckDB prints otherwise are left to the slow path, and so are records that
    hold a key with the prefix written out, and objects with a key twice (which DuckDB reads as null).
    """
    members = compiler.column(parent, MEMBERS)
    texts = f"array_to_string(map_values({members}), chr(10))"
    doubtful = f"regexp_matches({texts}, '[\\[{{]|\\.0(\\n|$)|[0-9]e[+-][0-9]')"
    written_out = f"({compiler.shared(_may_stand_before_a_dot(parent))} AND contains(text, {quote(chr(34) + parent + '.')}))"
    own_text = f"CAST(json_extract(text, {json_path((parent,))}) AS VARCHAR)"
    slow_members = f"pm_flatten_text({own_text}, {quote(json.dumps(['']))})"
    kept = f"map_from_entries(list_filter(map_entries({members}), lambda e: e.value IS NOT NULL AND e.key <> ''))"
    with_nulls = f"list_count(map_values({members})) < cardinality({members}) OR map_contains({members}, '')"
    return f"""(CASE
        WHEN {written_out} THEN {slow}
        WHEN {members} IS NULL THEN CASE WHEN starts_with({own_text}, '{{') THEN {slow_members} END
        WHEN {doubtful} THEN {slow_members}
        WHEN {with_nulls} THEN CASE WHEN cardinality({kept}) > 0 THEN {kept} END
        WHEN cardinality({members}) > 0 THEN {members}
    END)"""


def _may_stand_before_a_dot(parent: str) -> str:
    """SQL that is true where the parent's last word and a dot stand anywhere in the record.

    RE2 looks for the ends of such a prefix with SIMD, which is several times cheaper than `contains`; `event_properties`,
    `user_properties` and `group_properties` share one look.
    """
    return f"regexp_matches(text, {quote(re.escape(parent.rsplit('_', 1)[-1]) + '[.](?s:.)')})"


FUNCTION = Function(
    name="match",
    signature='match("prefix", ..)',
    summary="A map of the record's flat keys that start with a prefix, the prefix cut off; deeper keys keep their dots, "
    "lists stay lists, which kind map[string]string joins by comma, nulls are skipped. A later prefix wins. Missing when nothing matches.",
    group="records",
    least=1,
    most=None,
    gives="map[string]string",
    kernel=_kernel,
    needs_scope=True,
    reads_record=True,
    check=_check,
    sql=_sql,
    examples=(
        Example('match("p.")', {"p": {"plan": "pro", "n": 5}}, {"plan": "pro", "n": 5}),
        Example('match("p.")', {"p": {"a": {"b.c": True}, "l": [1, "x"], "gone": None}}, {"a.b.c": True, "l": [1, "x"]}),
        Example('match("p.")', {"p.q": 1, "p": {"r": 2}}, {"q": 1, "r": 2}),
        Example('match("p.")', {"p": {"": 1, "b": None}, "q": {"a": 1}}, "missing"),
    ),
)
