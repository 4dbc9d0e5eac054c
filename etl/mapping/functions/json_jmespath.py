"""`json.jmespath(x, "query")`: a JMESPath query over JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from etl.mapping.conversions import Value, is_empty
from etl.mapping.functions import Example, Function, literal_text
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.tree import Call
from etl.mapping.values import is_scalar_list
from etl.mapping.web_text import any_text, utf8

_EXACT = 2**53  # beyond it a float loses digits


@lru_cache(maxsize=256)
def _compiled(query: str) -> Any:
    """The compiled query, None where it is none."""
    try:
        return jmespath.compile(query)
    except (JMESPathError, RecursionError):
        return None


def _check(call: Call) -> None:
    argument = call.arguments[1]
    query = literal_text(call, 1, 'json.jmespath(data, "items[0].name")')
    compiled = _compiled(query)
    if compiled is None:
        raise ExpressionError("E204", "this is no JMESPath query", argument.start, argument.end, 'for example "items[0].name"')
    for name in _called(compiled.parsed):
        if name not in Functions.FUNCTION_TABLE:
            hint = nearest(name, Functions.FUNCTION_TABLE) or "jmespath.org lists all functions"
            raise ExpressionError("E204", f"JMESPath has no function {name!r}", argument.start, argument.end, hint)


def _called(node: Any) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _called(child)


class _AsSpecified(TreeInterpreter):
    """The specification orders numbers only: next to anything else `<` is null. The library orders texts too, and fails
    where it meets both in one list."""

    def visit_comparator(self, node: Any, value: Any) -> Any:
        if node["value"] not in ("eq", "ne"):
            sides = [self.visit(child, value) for child in node["children"]]
            if any(isinstance(side, bool) or not isinstance(side, int | float) for side in sides):
                return None
        return super().visit_comparator(node, value)


def _jmespath(value: Value, query: Value) -> Value:
    text = any_text(value) if _may_be_json(value) else None
    compiled = _compiled(query) if isinstance(query, str) else None
    if text is None or compiled is None:
        return None
    try:
        data = json.loads(text, parse_float=_finite, parse_constant=_refuse)
        return _plain(_AsSpecified().visit(compiled.parsed, data))
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None  # no JSON, or the query asks a value for what its type cannot give


def _may_be_json(value: Value) -> bool:
    """Whether the value's text form was written as text: that of an object, or of a list with one in it, is not."""
    return not is_empty(value) and not isinstance(value, dict) and (not isinstance(value, list) or is_scalar_list(value))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _refuse(text: str) -> Any:
    raise ValueError(text)  # NaN and Infinity, which Python's reader takes and JSON does not know


def _plain(value: Any) -> Value:
    """Numbers as floats, as JSON has only one kind of them; but ids too long for a float keep their digits."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {utf8(name).decode(): _plain(item) for name, item in value.items()}
    if isinstance(value, str):
        return utf8(value).decode()
    if isinstance(value, int) and not isinstance(value, bool) and -_EXACT <= value <= _EXACT:
        return float(value)
    return value if isinstance(value, int | float) else None


FUNCTION = Function(
    name="json.jmespath",
    signature='json.jmespath(text, "query")',
    summary="What a JMESPath query finds in JSON text; an object of the record must be text for it. Missing where the text is no "
    "JSON or the query finds nothing.",
    group="collections",
    least=2,
    most=2,
    gives="any",
    kernel=_jmespath,
    check=_check,
    examples=(
        Example('json.jmespath(x, "items[0].name")', {"x": '{"items": [{"name": "cup", "n": 2}]}'}, "cup"),
        Example("json.jmespath(x, \"items[?name == 'cup'].n | [0]\")", {"x": '{"items": [{"name": "cup", "n": 2}]}'}, 2.0),
        Example('json.jmespath(x, "items[].name")', {"x": '{"items": [{"name": "cup"}, {"name": "jug"}]}'}, ["cup", "jug"]),
        Example('json.jmespath(x, "[?@ > `1`]")', {"x": '["cup", 2, 3]'}, [2.0, 3.0]),
        Example('json.jmespath(x, "a.b")', {"x": '{"a": 1}'}, "missing"),
        Example('json.jmespath(x, "a")', {"x": {"a": 1}}, "missing"),
        Example('json.jmespath(x, "a")', {"x": "[1,]"}, "missing"),
        Example('json.jmespath(x, "a")', {}, "missing"),
    ),
)
