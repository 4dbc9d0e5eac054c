"""Compiled mappings give what the interpreter gives, field by field, on whatever records."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.engines.local import connect, rows
from etl.engines.sql import identifier
from etl.mapping import udfs
from etl.mapping.check import check_expression, check_field, gives
from etl.mapping.compile import Compiler
from etl.mapping.fitting import fitted
from etl.mapping.interpret import interpreter
from etl.mapping.kinds import KINDS, Kind
from etl.mapping.messages import ExpressionError
from etl.mapping.model import Expression, Field, Mapping, Source, default_merge
from etl.mapping.parser import parse
from etl.mapping.plan import plan
from etl.mapping.scope import Scope
from etl.mapping.tree import Node
from etl.mapping.write import write
from tests.mapping.trees import RECORDS, TREES, bare

EXAMPLES = int(os.environ.get("PROFILEMILL_EXAMPLES", "25"))
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def _checked(node: Node) -> Node | None:
    try:
        found = parse(write(node))
        check_expression(found)
    except ExpressionError:
        return None
    return found


@settings(deadline=None, max_examples=EXAMPLES * 8)
@given(TREES)
def test_a_written_tree_is_read_as_the_same_tree(node: Node) -> None:
    try:
        once = parse(write(node))
    except ExpressionError:
        return
    assert bare(parse(write(once))) == bare(once)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(st.tuples(TREES, st.sampled_from(list(KINDS.values())), st.none() | TREES), min_size=1, max_size=10),
    st.lists(RECORDS, min_size=1, max_size=6),
)
def test_compiled_is_interpreted(trees: list[tuple[Node, Kind, Node | None]], records: list[dict[str, Any]]) -> None:
    fields = []
    for number, (tree, kind, guard) in enumerate(trees):
        node, condition = _checked(tree), _checked(guard) if guard else None
        if node is None or (guard is not None and condition is None):
            continue
        try:
            check_field(node, kind, default_merge(node, kind), "")
        except ExpressionError:
            kind = KINDS[gives(node)] if gives(node) in KINDS else KINDS["string"]
        source = Source(Expression(write(node), node), Expression(write(condition), condition) if condition else None)
        fields.append(Field(f"f{number}", (source,), kind, default_merge(node, kind)))
    if not fields:
        return
    compiled = _compiled(Mapping("trial", "trial", tuple(fields)), records)
    for record, row in zip(records, compiled, strict=True):
        for field in fields:
            assert _same(row[field.name]) == _same(_interpreted(field, record)), (field.sources[0], field.kind.name, record)


@pytest.mark.parametrize("name", ["groups", "logic", "names", "literals", "numbers", "match", "date_zones", "eq", "array_index"])
def test_the_cases_of_a_file_compile_alike(name: str) -> None:
    cases = json.loads((Path(__file__).parent / f"cases/{name}.json").read_text(encoding="utf-8"))
    valid = [case for case in cases if not isinstance(case["value"], dict) or case["value"].keys() != {"fault"}]
    nodes = {case["expression"]: parse(case["expression"]) for case in valid}
    kinds = {text: KINDS.get(gives(node), KINDS["string"]) for text, node in nodes.items()}
    fields = [
        Field(f"f{number}", (Source(Expression(text, node)),), kinds[text], default_merge(node, kinds[text]))
        for number, (text, node) in enumerate(nodes.items())
    ]
    records = [case["record"] for case in valid]
    for record, row in zip(records, _compiled(Mapping("trial", "trial", tuple(fields)), records), strict=True):
        for field in fields:
            assert _same(row[field.name]) == _same(_interpreted(field, record)), (field.sources[0].expression.text, record)


def test_a_row_of_conditions_is_compiled_once_each() -> None:
    def length(count: int) -> int:
        return len(Compiler().condition(parse(" AND ".join(f'key{number:02} == "x"' for number in range(count)))))

    assert length(60) < 2.5 * length(30)


def _interpreted(field: Field, record: dict[str, Any]) -> Any:
    (source,) = field.sources
    scope = Scope(json.loads(json.dumps(record)), NOW)
    if source.guard is not None and interpreter(source.guard.node)(scope) is not True:
        return None
    return fitted(interpreter(source.expression.node)(scope), field.kind)


def _compiled(mapping: Mapping, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    connection = connect()
    try:
        udfs.register(connection)
        lines = {"load_ix": [0] * len(records), "member_ix": [0] * len(records), "line": list(range(len(records)))}
        connection.register("records", pa.table({**lines, "text": [json.dumps(record) for record in records]}))
        connection.register("loads", pa.table({"load_ix": [0], "fallback_time": pa.array([NOW], pa.timestamp("us", tz="UTC"))}))
        names = ", ".join(identifier(field.name) for field in mapping.fields)
        return rows(connection, f"SELECT {names} FROM ({plan(mapping).query('records')}) ORDER BY line")
    finally:
        connection.close()


def _same(value: Any) -> Any:
    """Comparable: maps as dicts, JSON texts in one spelling, numbers of equal value alike."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {key: _same(item) for key, item in value}
    if isinstance(value, dict):
        return {key: _same(item) for key, item in value.items()}
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value))
        except ValueError:
            return value
    return value
