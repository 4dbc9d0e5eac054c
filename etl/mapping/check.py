"""What can be said of an expression before any record: names, arity, literal arguments, kinds, merge operators."""

from __future__ import annotations

from etl.mapping.compile import Compiler
from etl.mapping.functions import function_named, functions
from etl.mapping.kinds import Kind
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.model import MAP_MERGES, SCALAR_MERGES
from etl.mapping.tree import Call, Node


def check_expression(node: Node) -> None:
    """Raises ExpressionError for the first fault of a tree: unknown function, arity, arguments, maps inside calls."""
    if not isinstance(node, Call):
        return
    function_named(node)
    for argument in node.arguments:
        check_expression(argument)
    Compiler().compile(node)


def check_field(node: Node, kind: Kind, merge: str) -> None:
    """Raises ExpressionError when the value cannot be of the kind, or the kind cannot be merged so."""
    gives_map = isinstance(node, Call) and functions()[node.name].is_map
    if gives_map != kind.is_map:
        what = "a map" if gives_map else "a single value"
        hint = "map kinds: map[string]string, map[string]bool, .." if gives_map else "map(key, value), match(..) and valuect(x) give maps"
        raise ExpressionError("E301", f"this gives {what}, but the kind is {kind.name}", node.start, node.end, hint)
    known = MAP_MERGES if kind.is_map else SCALAR_MERGES
    if merge not in known:
        raise ExpressionError(
            "E303",
            f"there is no merge operator {merge!r} for {kind.name}",
            0,
            1,
            nearest(merge, known) or "known: " + ", ".join(known),
        )
    numeric = kind.name in ("int", "number") or kind.element in ("int", "number", "intsum")
    if merge == "sum" and not numeric:
        raise ExpressionError("E304", f"{kind.name} cannot be added up", 0, 1, "sum is for int and number")
    if merge in ("min", "max") and kind.name not in ("int", "number", "date"):
        raise ExpressionError("E304", f"{kind.name} has no {merge}", 0, 1, f"{merge} is for int, number and date")
    if merge == "count" and kind.name != "int":
        raise ExpressionError("E304", f"a count is an int, not {kind.name}", 0, 1)
    if kind.is_counter and merge != "sum":
        raise ExpressionError("E304", "map[string]intsum adds up; for another merge use map[string]int", 0, 1)
