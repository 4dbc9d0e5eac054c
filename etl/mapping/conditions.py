"""Conditions to SQL: the comparisons that guards are made of, for whole columns.

Each is exact for rows whose shape SQL can tell; other rows of the same comparison go to the interpreter.
"""

from __future__ import annotations

from etl.engines.sql import quote
from etl.mapping.check import gives
from etl.mapping.compile import Compiler, is_spelled_out, json_path
from etl.mapping.conversions import text_of
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation

_SQL_OPERATORS = {"==": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
# Such text is a number of at most fifteen digits each side, exact as a float, whether JSON has it as text or number.
_PLAIN_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"


def condition(compiler: Compiler, node: Node) -> str | None:
    """SQL of a BOOLEAN, null where the value is missing; None where only the interpreter can tell."""
    if isinstance(node, Literal):
        return {True: "TRUE", False: "FALSE"}.get(node.value, "CAST(NULL AS BOOLEAN)") if isinstance(node.value, bool) else None
    if isinstance(node, Name):
        return _bool_at(compiler, node)
    if isinstance(node, Operation):
        if node.operator == "NOT":
            return f"(NOT {compiler.condition(node.operands[0])})"
        if node.operator in ("AND", "OR"):
            return _logical(compiler, node)
        return _comparison(compiler, node)
    return _text_test(compiler, node) if isinstance(node, Call) else None


def _logical(compiler: Compiler, node: Operation) -> str | None:
    if node.operator == "OR":
        left, right = (compiler.condition(operand) for operand in node.operands)
        return f"(coalesce({left}, FALSE) OR coalesce({right}, FALSE))"
    one, other = (_truth(compiler, operand) for operand in node.operands)
    return f"(CASE {one} + {other} WHEN 2 THEN TRUE WHEN -2 THEN NULL ELSE FALSE END)" if one and other else None


def _truth(compiler: Compiler, node: Node) -> str | None:
    """SQL that is 1 for true, -1 for a missing value and 0 for all others; None where only the interpreter can tell.

    So that AND has each of its sides once: a row of them would else double its SQL with every one.
    """
    if isinstance(node, Literal):
        return "-1" if node.value is None else "1" if node.value is True else "0"
    if isinstance(node, Name):
        if not is_spelled_out(node, 2):
            return None
        return f"(CASE WHEN {compiler.condition(node)} THEN 1 WHEN {compiler.plain_text(node)} IS NULL THEN -1 ELSE 0 END)"
    return f"coalesce(CAST({compiler.condition(node)} AS TINYINT), -1)" if gives(node) == "bool" else None


def _bool_at(compiler: Compiler, name: Name) -> str | None:
    if not is_spelled_out(name, 1):
        return None
    return f"(CASE CAST(json_extract(text, {json_path(name.parts)}) AS VARCHAR) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)"


def _comparison(compiler: Compiler, node: Operation) -> str | None:
    left = node.operands[0]
    if not isinstance(left, Name) or not is_spelled_out(left, 2):
        return None
    if node.operator == "EXISTS":
        return f"({compiler.plain_text(left)} IS NOT NULL)"
    if node.operator in ("IS NULL", "IS NOT NULL"):
        present = f"coalesce({compiler.plain_text(left)}, '') <> ''"
        return f"({present})" if node.operator == "IS NOT NULL" else f"(NOT ({present}))"
    if len(node.operands) != 2:
        return None
    right = node.operands[1]
    if isinstance(right, Literal) and isinstance(right.value, str):
        return _with_text(compiler, node, left, right.value)
    if isinstance(right, Literal) and not isinstance(right.value, bool) and isinstance(right.value, int | float):
        return _with_number(compiler, node, left, right.value)
    if isinstance(right, ListOf) and node.operator in ("IN", "INTERSECTS"):
        return _in_list(compiler, node, left, right)
    return None


def _with_text(compiler: Compiler, node: Operation, name: Name, literal: str) -> str | None:
    found = compiler.plain_text(name)
    if node.operator in ("==", "!="):
        fast = f"{found} {_SQL_OPERATORS[node.operator]} {quote(literal)}"
    elif node.operator == "CONTAINS":
        fast = f"contains({found}, {quote(literal)})"
    elif node.operator in ("IN", "INTERSECTS"):
        fast = f"{found} = {quote(literal)}"
    else:
        return None
    return _of_texts(compiler, node, found, fast)


def _in_list(compiler: Compiler, node: Operation, name: Name, items: ListOf) -> str | None:
    texts = [text_of(item.value) for item in items.items if isinstance(item, Literal)]
    if len(texts) != len(items.items) or not texts:
        return None
    found = compiler.plain_text(name)
    listed = ", ".join(quote(text) for text in texts if text is not None)
    return _of_texts(compiler, node, found, f"{found} IN ({listed})") if listed else None


def _of_texts(compiler: Compiler, node: Operation, found: str, fast: str) -> str:
    """`fast` where `found` can only be text: JSON has no number, bool, list or object that starts so."""
    doubtful = f"regexp_matches({found}, '^([-0-9\\[{{]|true$|false$)')"
    missing = "TRUE" if node.operator == "!=" else "FALSE"
    return f"(CASE WHEN {found} IS NULL THEN {missing} WHEN {doubtful} THEN {compiler.interpreted_condition(node)} ELSE {fast} END)"


def _with_number(compiler: Compiler, node: Operation, name: Name, literal: float) -> str | None:
    operator = _SQL_OPERATORS.get(node.operator)
    if operator is None or abs(literal) >= 10**15:
        return None
    found = compiler.plain_text(name)
    fast = f"TRY_CAST({found} AS DOUBLE) {operator} CAST({literal!r} AS DOUBLE)"
    missing = "TRUE" if node.operator == "!=" else "FALSE"
    plain = f"regexp_matches({found}, '{_PLAIN_NUMBER}')"
    return f"(CASE WHEN {found} IS NULL THEN {missing} WHEN {plain} THEN {fast} ELSE {compiler.interpreted_condition(node)} END)"


def _text_test(compiler: Compiler, call: Call) -> str | None:
    """`hasprefix(key, "text")` and its like, where the text is given."""
    test = {"hasprefix": "starts_with", "hassuffix": "suffix", "contains": "contains"}.get(call.name)
    if test is None or not isinstance(call.arguments[0], Name) or not isinstance(call.arguments[1], Literal):
        return None
    part = call.arguments[1].value
    if not isinstance(part, str) or not part:
        return None
    return f"coalesce({test}({compiler.single_text(call.arguments[0])}, {quote(part)}), FALSE)"
