"""What can be said of an expression before any record: names, arity, literal arguments, kinds, merge operators."""

from __future__ import annotations

from collections.abc import Iterator

from etl.mapping.hints import merge_hint
from etl.mapping.kinds import KINDS, Kind
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.model import LIST_MERGES, MAP_MERGES, SCALAR_MERGES, merges_of
from etl.mapping.registry import function_named, function_of
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation, children

_ARITHMETIC = ("+", "-", "*", "/", "%")


def faults_in(node: Node) -> Iterator[ExpressionError]:
    """Every fault of a tree, left to right: unknown functions, arity, arguments."""
    if isinstance(node, Call):
        try:
            function_named(node)
        except ExpressionError as error:
            yield error
    for child in children(node):
        yield from faults_in(child)


def check_expression(node: Node) -> None:
    """Raises ExpressionError for the first fault of a tree."""
    for error in faults_in(node):
        raise error


def check_condition(node: Node) -> None:
    """Raises ExpressionError when the value can never be a bool."""
    found = gives(node)
    if found not in ("bool", "any"):
        raise ExpressionError(
            "E305",
            f"this gives {_described(found)}, but a condition is true or false",
            node.start,
            node.end,
            "compare it, for example x == 1, or ask EXISTS x",
        )


def gives(node: Node) -> str:
    """The kind of an expression's value; `any` where only the record tells."""
    if isinstance(node, Call):
        return function_of(node).gives
    if isinstance(node, Operation):
        return "number" if node.operator in _ARITHMETIC else "bool"
    if isinstance(node, ListOf):
        return "[]string"
    if isinstance(node, Literal):
        by_type = {bool: "bool", int: "int", float: "number", str: "string"}
        return by_type.get(type(node.value), "any")
    return "any"


def default_kind(node: Node) -> Kind:
    """The kind of a field that names none: what its function gives, string for a key."""
    return KINDS.get(gives(node), KINDS["string"])


def check_field(node: Node, kind: Kind, merge: str, merge_text: str) -> None:
    """Raises ExpressionError when the value cannot be of the kind, or the kind cannot be merged so."""
    found = gives(node)
    is_call = isinstance(node, Call)
    if kind.is_map and not found.startswith("map[") and not (is_call and found == "any"):
        raise ExpressionError(
            "E301",
            f"this gives a single value, but the kind is {kind.name}",
            node.start,
            node.end,
            f'match("{node.key}.") makes a map of an object'
            if isinstance(node, Name)
            else "map(key, value), match(..) and valuect(x) give maps",
        )
    if found.startswith("map[") and not kind.is_map:
        raise ExpressionError(
            "E301",
            f"this gives a map, but the kind is {kind.name}",
            node.start,
            node.end,
            "map kinds: map[string]string, map[string]bool, ..",
        )
    check_merge(kind, merge, merge_text)


def check_merge(kind: Kind | None, merge: str, merge_text: str) -> None:
    """Raises ExpressionError when the kind cannot be merged so; of an unknown kind (None) when nothing can."""
    if kind is None:
        if merge not in (every := {*SCALAR_MERGES, *MAP_MERGES, *LIST_MERGES}):
            hint = merge_hint(merge_text, tuple(every)) or nearest(merge_text, sorted(every)) or "known: " + ", ".join(sorted(every))
            raise ExpressionError("E303", f"there is no merge operator {merge_text!r}", 0, 1, hint)
        return
    known = merges_of(kind)
    if merge not in known:
        hint = merge_hint(merge_text, known) or nearest(merge_text, known) or "known: " + ", ".join(known)
        raise ExpressionError("E303", f"there is no merge operator {merge_text!r} for {kind.name}", 0, 1, hint)
    numeric = kind.name in ("int", "number") or kind.element in ("int", "number", "intsum")
    if merge == "sum" and not numeric:
        raise ExpressionError("E304", f"{kind.name} cannot be added up", 0, 1, "sum is for int and number")
    if merge in ("min", "max") and not numeric and "date" not in (kind.name, kind.element):
        raise ExpressionError("E304", f"{kind.name} has no {merge}", 0, 1, f"{merge} is for int, number and date")
    if merge == "count" and kind.name != "int":
        raise ExpressionError("E304", f"a count is an int, not {kind.name}", 0, 1)
    if kind.is_counter and merge != "sum":
        raise ExpressionError("E304", "map[string]intsum adds up; for another merge use map[string]int", 0, 1)


def _described(kind: str) -> str:
    return "a map" if kind.startswith("map[") else "a list" if "[]" in kind else f"a {kind}" if kind != "int" else "an int"
