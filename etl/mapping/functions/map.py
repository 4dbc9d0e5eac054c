"""`map(key, value)`: one entry."""

from __future__ import annotations

from typing import Any

from etl.mapping.compile import Compiler, Form, Sql
from etl.mapping.conversions import Value, is_empty, text_of
from etl.mapping.functions import Example, Function
from etl.mapping.tree import Call, Literal, Name


def _kernel(key: Value, value: Value) -> dict[str, Any] | None:
    if is_empty(key) or is_empty(value):
        return None
    text = text_of(key)
    return {text: value} if text else None


def _sql(compiler: Compiler, call: Call) -> Sql | None:
    key, value = call.arguments
    if not isinstance(key, Name | Literal) or not isinstance(value, Name | Literal):
        return None
    key_text, value_text = compiler.text(key), compiler.text(value)
    # An empty object's text is that of the text `{}`, which is a value; only the record itself tells them apart.
    present = f"{key_text} <> '' AND {value_text} <> ''"
    fast = f"CASE WHEN {present} THEN map([{key_text}], [{value_text}]) END"
    empty = f"{key_text} = '{{}}' OR {value_text} = '{{}}'"
    return Sql(f"(CASE WHEN {empty} THEN {compiler.interpreted_map(call)} ELSE {fast} END)", Form.TEXT_MAP)


FUNCTION = Function(
    name="map",
    signature="map(key, value)",
    summary="A map of one entry. Missing when key or value is missing, empty text, or an empty list or object; false and 0 are values.",
    group="records",
    least=2,
    most=2,
    gives="map[string]string",
    kernel=_kernel,
    sql=_sql,
    examples=(
        Example("map(id, member)", {"id": "a1", "member": False}, {"a1": False}),
        Example("map(id, n)", {"id": 7, "n": 0}, {"7": 0}),
        Example("map(id, member)", {"id": "", "member": True}, "missing"),
        Example("map(id, member)", {"id": "a1"}, "missing"),
    ),
)
