"""`valuect(x)`: one count for the value of x."""

from __future__ import annotations

from etl.mapping.compile import Compiler, Form, Sql
from etl.mapping.functions import Example, Function
from etl.mapping.tree import Call, Name


def _compile(compiler: Compiler, call: Call) -> Sql:
    (value,) = call.arguments
    text, in_json = compiler.text(value), compiler.as_json(value)
    one = f"CASE WHEN {text} <> '' THEN map([{text}], [CAST(1 AS BIGINT)]) END"
    members = f"CAST(pm_count_values({in_json}) AS MAP(VARCHAR, BIGINT))"
    if not isinstance(value, Name):
        return Sql(f"({one})", Form.COUNT_MAP)
    # A list starts with a bracket as plain text too; only then is its JSON looked at.
    fast = compiler.plain_text(value)
    return Sql(f"(CASE WHEN {fast}[1] = '[' AND starts_with({in_json}, '[') THEN {members} ELSE {one} END)", Form.COUNT_MAP)


FUNCTION = Function(
    signature="valuect(x)",
    summary="A map that counts the value of x once, or each member when x is a list. With kind map[string]intsum the counts add up.",
    least=1,
    most=1,
    compile=_compile,
    is_map=True,
    examples=(
        Example("valuect(event_type)", {"event_type": "Order Completed"}, {"Order Completed": 1}),
        Example("valuect(tags)", {"tags": ["a", "b", "a"]}, {"a": 2, "b": 1}),
        Example("valuect(event_type)", {}, "missing"),
    ),
)
