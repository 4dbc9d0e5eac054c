"""A checked tree to a Python function of one record: the meaning of the language.

Loads take SQL where the compiler has a form of it for the case at hand, and this function everywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from etl.mapping.conversions import Value
from etl.mapping.operators import between, is_null, negated, negative, operate
from etl.mapping.parser import parse
from etl.mapping.registry import function_of
from etl.mapping.scope import Scope
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation
from etl.mapping.values import flat_items

Evaluator = Callable[[Scope], Value]

_UNARY: dict[str, Callable[[Value], Value]] = {
    "NOT": negated,
    "-": negative,
    "EXISTS": lambda value: value is not None,
    "IS NULL": is_null,
    "IS NOT NULL": lambda value: not is_null(value),
}


def interpreter(node: Node) -> Evaluator:
    """The function that gives the value of a checked tree, None for missing. It raises nothing."""
    if isinstance(node, Literal):
        constant = node.value
        return lambda scope: constant
    if isinstance(node, Name):
        name, parts = node, node.parts
        if parts == name.steps and not name.may_be_place:
            return lambda scope: _found(scope.record, parts)
        return lambda scope: _found_quoted(scope.record, name)
    if isinstance(node, ListOf):
        items = [interpreter(item) for item in node.items]
        return lambda scope: [item(scope) for item in items]
    if isinstance(node, Operation):
        return _operation(node)
    return _call(node)


@lru_cache(maxsize=4096)
def interpreter_of(expression: str) -> Evaluator:
    """The same for the text of a checked expression."""
    return interpreter(parse(expression))


def _operation(node: Operation) -> Evaluator:
    operands = [interpreter(operand) for operand in node.operands]
    if len(operands) == 1:
        unary, (only,) = _UNARY[node.operator], operands
        return lambda scope: unary(only(scope))
    if node.operator == "BETWEEN":
        value, low, high = operands
        return lambda scope: between(value(scope), low(scope), high(scope), scope.time)
    operator, (left, right) = node.operator, operands
    return lambda scope: operate(operator, left(scope), right(scope), scope.time)


def _call(node: Call) -> Evaluator:
    function = function_of(node)
    arguments = [interpreter(argument) for argument in node.arguments]
    kernel = function.kernel
    if function.needs_scope:
        return lambda scope: _without_nan(kernel(scope, *(argument(scope) for argument in arguments)))
    return lambda scope: _without_nan(kernel(*(argument(scope) for argument in arguments)))


def _without_nan(value: Value) -> Value:
    return None if isinstance(value, float) and math.isnan(value) else value


def _found_quoted(record: Mapping[str, Value], name: Name) -> Value:
    """The value at a key in back-ticks: as written, else with its dots as nesting, else at the flat key of a list's place."""
    for parts in (name.parts, name.steps):
        if (found := _found(record, parts)) is not None:
            return found
    places = flat_items(record) if name.may_be_place else ()
    return next((_found(leaf, ()) for key, leaf in places if key == name.key), None)


def _found(value: Value, parts: tuple[str, ...]) -> Value:
    """The value at a dotted name: each dot is nesting or part of a key, the longest key first (lql.md 4)."""
    if not parts:
        return None if isinstance(value, float) and math.isnan(value) else value
    if not isinstance(value, Mapping):
        return None
    for length in range(len(parts), 0, -1):
        inner = value.get(".".join(parts[:length]))
        if inner is not None and (found := _found(inner, parts[length:])) is not None:
            return found
    return None
