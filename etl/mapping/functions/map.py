"""`map(k, v)`: one entry."""

from __future__ import annotations

from etl.mapping.compile import Compiler, Form, Sql
from etl.mapping.functions import Example, Function
from etl.mapping.tree import Call


def _compile(compiler: Compiler, call: Call) -> Sql:
    key, value = call.arguments
    key_text, value_text = compiler.text(key), compiler.text(value)
    present = f"{key_text} <> '' AND {value_text} <> ''"
    if not compiler.keep_types:
        return Sql(f"(CASE WHEN {present} THEN map([{key_text}], [{value_text}]) END)", Form.TEXT_MAP)
    return Sql(f"(CASE WHEN {present} THEN map([{key_text}], [{compiler.as_json(value)}]) END)", Form.JSON_MAP)


FUNCTION = Function(
    signature="map(key, value)",
    summary="A map of one entry. Missing when key or value is missing, empty text or an empty list; false and 0 are values.",
    least=2,
    most=2,
    compile=_compile,
    is_map=True,
    examples=(
        Example("map(id, member)", {"id": "a1", "member": False}, {"a1": False}),
        Example("map(id, n)", {"id": 7, "n": 0}, {"7": 0}),
        Example("map(id, member)", {"id": "", "member": True}, "missing"),
        Example("map(id, member)", {"id": "a1"}, "missing"),
    ),
)
