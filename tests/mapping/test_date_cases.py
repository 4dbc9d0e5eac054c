"""The cases and examples of the date functions, on their kernels: the calls are read with Python's own grammar."""

import ast
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from etl.mapping.functions import Function
from etl.mapping.scope import Scope
from tests.mapping.test_dates import DATES

FILES = ("todate", "todatein", "parts_of_dates", "epochs", "strftime")
CASES = [case for name in FILES for case in json.loads((Path(__file__).parent / "cases" / f"{name}.json").read_text())]
FUNCTIONS = {name: function for function in DATES for name in (function.name, *function.aliases)}


def value_of(node: ast.expr, scope: Scope) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return scope.record.get(node.id)
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    function = FUNCTIONS[node.func.id]
    arguments = [value_of(argument, scope) for argument in node.args]
    return function.kernel(scope, *arguments) if function.needs_scope else function.kernel(*arguments)


def evaluated(expression: str, record: dict[str, Any], time: str | None) -> Any:
    scope = Scope(record, None if time is None else datetime.fromisoformat(time))
    return value_of(ast.parse(expression, mode="eval").body, scope)


def expected(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "date" in value:
        return datetime.fromisoformat(value["date"])
    return {key: datetime.fromisoformat(date) for key, date in value["dates"].items()} if "dates" in value else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['expression']} of {case['record']}")
def test_cases(case: dict[str, Any]) -> None:
    found, wanted = evaluated(case["expression"], case["record"], case.get("time")), expected(case["value"])
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize("function", DATES, ids=lambda function: function.name)
def test_examples(function: Function) -> None:
    assert len(function.examples) >= 5 or function.name == "now"
    for example in function.examples:
        assert evaluated(example.expression, example.record, example.time) == (None if example.value == "missing" else example.value)
