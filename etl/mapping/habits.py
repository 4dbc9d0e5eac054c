"""Habits of SQL and of other languages that can be read, but mean something else here, or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from etl.mapping.check import gives
from etl.mapping.conversions import number_of
from etl.mapping.datemath import check_date_math, is_date_math
from etl.mapping.dates import date_of
from etl.mapping.messages import ExpressionError
from etl.mapping.registry import function_of
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation, children, names_in
from etl.mapping.write import write_key

_JOINED = re.compile(r"[-/]")
_ORDERINGS = (">", ">=", "<", "<=", "BETWEEN")
_COMPARISONS = ("==", "!=", "IN", "LIKE", "CONTAINS", "INTERSECTS")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Habit:
    """A warning about the characters from `start` to `end` of an expression's text."""

    code: str
    message: str
    start: int
    end: int
    hint: str


def habits_in(text: str, node: Node, known: Mapping[str, int]) -> Iterator[Habit]:
    """What in the expression is most likely not meant as it is read. `known` are the keys that the mapping reads, each with
    how often."""
    if isinstance(node, Operation):
        yield from _operation(text, node, known)
    elif isinstance(node, Name):
        yield from _name(text, node, known)
    elif isinstance(node, Call):
        yield from _call(node)
    for child in children(node):
        yield from habits_in(text, child, known)


def keys_in(nodes: Collection[Node]) -> Mapping[str, int]:
    """Every key that the expressions read, and how often."""
    return Counter(name.key for node in nodes for name in names_in(node))


def _operation(text: str, node: Operation, known: Mapping[str, int]) -> Iterator[Habit]:
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
    if node.operator in _ORDERINGS:
        yield from _ordered(operands)
    if len(operands) == 2:
        yield from _between(text, node)
        yield from _compared(text, node, known)


def _between(text: str, node: Operation) -> Iterator[Habit]:
    left, right = node.operands
    if node.operator == "==" and isinstance(right, Operation) and right.operator == "NOT" and text[: right.start].endswith("="):
        hint = "write a != b; or, if NOT is meant, a blank before it"
        yield Habit("W508", "=! is read as = and then NOT", right.start - 1, right.start + 1, hint)
    if node.operator == ">" and isinstance(left, Name) and text[: left.end].endswith("-") and text.startswith(">", left.end):
        yield Habit(
            "W509", "-> is read as a key that ends with - and a comparison", left.end - 1, left.end + 1, "a dot reaches into an object: a.b"
        )


def _ordered(operands: Sequence[Node]) -> Iterator[Habit]:
    """Only numbers and dates have an order."""
    for operand in operands:
        if not isinstance(operand, Literal) or not isinstance(operand.value, str):
            continue
        try:
            check_date_math(operand, in_any_case=False)
        except ExpressionError as error:
            yield Habit("W512", f"{error.message}: it never gives a value", error.start, error.end, error.hint or "")
        else:
            if not is_date_math(operand.value) and number_of(operand.value) is None and date_of(operand.value) is None:
                hint = "only numbers and dates are greater or less than others; texts are equal or not, or LIKE a pattern"
                yield Habit("W512", "this text is no number and no date: it never gives a value", operand.start, operand.end, hint)


def _compared(text: str, node: Operation, known: Mapping[str, int]) -> Iterator[Habit]:
    """What is a key, what is text: SQL has its own quotes for each."""
    if node.operator not in _COMPARISONS:
        return
    left, right = node.operands
    if node.operator in ("==", "!="):
        yield from _bool_as_text(node.operator, left, right)
    if isinstance(left, Literal) and isinstance(left.value, str) and _is_constant(right):
        hint = f"a key stands without quotes, or in back-ticks: {write_key(tuple(left.value.split('.')))}"
        yield Habit("W513", "both sides are constants: what stands in quotes, single or double, is text", left.start, left.end, hint)
    elif isinstance(left, Name) and isinstance(right, Name) and node.operator in ("==", "!="):
        only_here = known[right.key] == 1 and len(right.parts) == 1 and not _is_quoted(text, right)
        if only_here and right.key != left.key:
            hint = f'text stands in quotes: "{right.key}"; if the key is meant, write `{right.key}`'
            yield Habit("W514", f"this compares with a key {right.key!r} of the record", right.start, right.end, hint)


def _bool_as_text(operator: str, left: Node, right: Node) -> Iterator[Habit]:
    """A bool of the record is no text, and a bool on the left takes no text on the right."""
    if isinstance(left, Name) and isinstance(right, Literal) and isinstance(right.value, str) and right.value.lower() in ("true", "false"):
        key, word, place = left, right.value.lower(), right
    elif isinstance(left, Literal) and isinstance(left.value, bool) and isinstance(right, Name):
        key, word, place = right, str(left.value).lower(), left
    else:
        return
    what = (
        "a bool of the record is not compared with text" if place is right else "text of the record is not compared with a bool before it"
    )
    hint = f"{write_key(key.parts)} {operator} {word} takes both"
    yield Habit("W515", f"{what}: the answer is missing", place.start, place.end, hint)


def _is_constant(node: Node) -> bool:
    return all(_is_constant(item) for item in node.items) if isinstance(node, ListOf) else isinstance(node, Literal)


def _is_quoted(text: str, node: Name) -> bool:
    return text[node.start : node.start + 1] in ("`", "[")


def _name(text: str, node: Name, known: Collection[str]) -> Iterator[Habit]:
    if _is_quoted(text, node):
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
