"""Habits of SQL and of other languages that can be read, but mean something else here, or nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from etl.mapping.check import gives
from etl.mapping.messages import ExpressionError
from etl.mapping.registry import function_of
from etl.mapping.tree import Call, Literal, Name, Node, Operation, children, names_in

_JOINED = re.compile(r"[-/]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Habit:
    """A warning about the characters from `start` to `end` of an expression's text."""

    code: str
    message: str
    start: int
    end: int
    hint: str


def habits_in(text: str, node: Node, known: Collection[str]) -> Iterator[Habit]:
    """What in the expression is most likely not meant as it is read. `known` are keys that the mapping reads elsewhere."""
    if isinstance(node, Operation):
        yield from _operation(text, node)
    elif isinstance(node, Name):
        yield from _name(text, node, known)
    elif isinstance(node, Call):
        yield from _call(node)
    for child in children(node):
        yield from habits_in(text, child, known)


def keys_in(nodes: Collection[Node]) -> set[str]:
    """Every key that the expressions read."""
    return {name.key for node in nodes for name in names_in(node)}


def _operation(text: str, node: Operation) -> Iterator[Habit]:
    operands = node.operands
    if node.operator in ("OR", "AND"):
        for operand in operands:
            if gives(operand) not in ("bool", "any") and not (isinstance(operand, Operation) and operand.operator == node.operator):
                what = "text" if gives(operand) == "string" else "a value"
                yield Habit(
                    "W505",
                    f"this is {what}, but {node.operator} (&& and || too) takes what is true or false: it counts as missing",
                    operand.start,
                    operand.end,
                    'join(first, last, " ") puts texts together, with the last argument between them',
                )
    if node.operator == "+":
        for operand in operands:
            if isinstance(operand, Literal) and isinstance(operand.value, str) and not _NUMBER.fullmatch(operand.value.strip()):
                yield Habit(
                    "W506",
                    "+ adds numbers; with this text the sum is missing",
                    operand.start,
                    operand.end,
                    'join(first, last, " ") puts texts together, with the last argument between them',
                )
    if len(operands) == 2:
        yield from _between(text, node)


def _between(text: str, node: Operation) -> Iterator[Habit]:
    left, right = node.operands
    if node.operator == "==" and isinstance(right, Operation) and right.operator == "NOT" and text[: right.start].endswith("="):
        hint = "write a != b; or, if NOT is meant, a blank before it"
        yield Habit("W508", "=! is read as = and then NOT", right.start - 1, right.start + 1, hint)
    if node.operator == ">" and isinstance(left, Name) and text[: left.end].endswith("-") and text.startswith(">", left.end):
        yield Habit(
            "W509", "-> is read as a key that ends with - and a comparison", left.end - 1, left.end + 1, "a dot reaches into an object: a.b"
        )


def _name(text: str, node: Name, known: Collection[str]) -> Iterator[Habit]:
    if text[node.start : node.start + 1] in ("`", "["):
        return
    for sign in _JOINED.finditer(node.key):
        left, right = node.key[: sign.start()], node.key[sign.end() :]
        root = left.split(".")[0]
        if left and (_NUMBER.fullmatch(right) or right in known or ("." in left and right.startswith(f"{root}."))):
            yield Habit(
                "W507",
                f"{node.key} is read as one key, with {sign.group()!r} in it",
                node.start,
                node.end,
                f"to calculate, write blanks: {left} {sign.group()} {right}; a key of that name stands in back-ticks",
            )
            return


def _call(node: Call) -> Iterator[Habit]:
    try:
        function_of(node).suspect(node)
    except ExpressionError as error:
        yield Habit("W512", f"{error.message}: it never gives a value", error.start, error.end, error.hint or "")
    if node.name in ("strftime", "extract") and len(node.arguments) == 2:
        form = node.arguments[1]
        if isinstance(form, Literal) and isinstance(form.value, str) and "%" not in form.value:
            yield Habit(
                "W510",
                "this form has no code, so every date gives this very text",
                form.start,
                form.end,
                'codes start with %, for example "%Y-%m-%d"',
            )
