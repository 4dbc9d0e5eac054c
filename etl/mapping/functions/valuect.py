"""`valuect(x)`: one count for the value of x."""

from __future__ import annotations

from collections import Counter

from etl.mapping.compile import Compiler, Form, Sql, is_spelled_out
from etl.mapping.conversions import Value, text_of
from etl.mapping.functions import Example, Function
from etl.mapping.read_columns import once
from etl.mapping.tree import Call, Name


def _kernel(value: Value) -> dict[str, int] | None:
    members = value if isinstance(value, list) else [value]
    return dict(Counter(text for member in members if (text := text_of(member)))) or None


def _sql(compiler: Compiler, call: Call) -> Sql | None:
    (value,) = call.arguments
    if not isinstance(value, Name) or not is_spelled_out(value, 2):
        return None
    text = compiler.single_text(value) if compiler.shredded else compiler.text(value)
    one = once(text)
    if compiler.shredded and compiler.is_column(value):
        return Sql(one, Form.COUNT_MAP)
    # A list starts with a bracket as plain text too; only then is its JSON looked at.
    fast, in_json = compiler.plain_text(value), compiler.json_text(value)
    members = f"CAST(pm_count_values({in_json}) AS MAP(VARCHAR, BIGINT))"
    return Sql(f"(CASE WHEN starts_with({fast}, '[') AND starts_with({in_json}, '[') THEN {members} ELSE {one} END)", Form.COUNT_MAP)


FUNCTION = Function(
    name="valuect",
    signature="valuect(x)",
    summary="A map that counts the value of x once, or each member when x is a list. With kind map[string]intsum the counts add up.",
    group="records",
    least=1,
    most=1,
    gives="map[string]intsum",
    kernel=_kernel,
    sql=_sql,
    examples=(
        Example("valuect(event_type)", {"event_type": "Order Completed"}, {"Order Completed": 1}),
        Example("valuect(tags)", {"tags": ["a", "b", "a"]}, {"a": 2, "b": 1}),
        Example("valuect(event_type)", {}, "missing"),
    ),
)
