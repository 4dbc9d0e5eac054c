"""A tree back to text, in one spelling: what `parse` reads gives the same tree again."""

from __future__ import annotations

import re

from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation

_LEVELS = {"OR": 1, "AND": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_COMPARISON, _UNARY, _PRIMARY = 3, 6, 7
_PLAIN_PART = re.compile(r"[^\W\d][\w\-/]*|@[\w\-/]*")
_RESERVED = {"true", "false", "null", "not", "exists", "and", "or", "in", "intersects", "like", "contains", "between", "is", "as"}
_STATEMENT_WORDS = {"if", "from", "into", "by", "where", "alias", "kind", "mergeop", "shortdesc", "longdesc", "select"}


def write(node: Node) -> str:
    """The expression's text; parentheses only where they are needed."""
    return _write(node, 0)


def write_text(text: str) -> str:
    """A text literal in double quotes."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def write_key(parts: tuple[str, ...]) -> str:
    """A key; in back-ticks where it is not a plain word."""
    plain = all(_PLAIN_PART.fullmatch(part) for part in parts)
    if plain and ".".join(parts).lower() not in _RESERVED | _STATEMENT_WORDS and "--" not in "".join(parts) and "//" not in "".join(parts):
        return ".".join(parts)
    return ".".join(f"`{part}`" for part in parts)


def _write(node: Node, level: int) -> str:
    if isinstance(node, Literal):
        return _literal(node)
    if isinstance(node, Name):
        return write_key(node.parts)
    if isinstance(node, ListOf):
        items = ", ".join(_write(item, 0) for item in node.items)
        # A word alone in brackets is a key.
        return f"[{items},]" if len(node.items) == 1 and isinstance(node.items[0], Name) else f"[{items}]"
    if isinstance(node, Call):
        return f"{node.name}({', '.join(_write(argument, 0) for argument in node.arguments)})"
    text, own = _operation(node)
    return f"({text})" if own < level else text


def _literal(node: Literal) -> str:
    if isinstance(node.value, str):
        return write_text(node.value)
    if node.value is None or isinstance(node.value, bool):
        return {None: "NULL", True: "true", False: "false"}[node.value]
    return repr(node.value)


def _operation(node: Operation) -> tuple[str, int]:
    """The text of an operation and how tightly it binds."""
    operator, operands = node.operator, node.operands
    if operator in _LEVELS and len(operands) == 2:
        level = _LEVELS[operator]
        return f"{_write(operands[0], level)} {operator} {_write(operands[1], level + 1)}", level
    if operator == "NOT":
        # Looser than a comparison: it takes one whole, and as an operand of one it needs parentheses.
        return f"NOT {_write(operands[0], _COMPARISON)}", _COMPARISON
    if operator == "-":
        return f"-{_write(operands[0], _PRIMARY)}", _UNARY
    if operator == "EXISTS":
        return f"EXISTS {_write(operands[0], _PRIMARY)}", _UNARY
    if operator in ("IS NULL", "IS NOT NULL"):
        return f"{_write(operands[0], _COMPARISON + 1)} {operator}", _COMPARISON
    sums = [_write(operand, _COMPARISON + 1) for operand in operands]
    if operator == "BETWEEN":
        return f"{sums[0]} BETWEEN {sums[1]} AND {sums[2]}", _COMPARISON
    return f"{sums[0]} {operator} {sums[1]}", _COMPARISON
