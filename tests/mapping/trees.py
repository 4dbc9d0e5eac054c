"""Strategies for trees of expressions, and for records that they say something about."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from etl.mapping.registry import functions
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation

_TEXTS = (
    "", "a", "abc", "A b", "5", "5.0", "-3", "1e3", "007", "$5.20", "true", "t", "F", "null", "now-3d", "2024-05-01", "[1]", "{}", "a,b",
    "a*", "é", "'", '"', "\\", "`", "2024-02-30 10:00:00", "1700000000", "1700000000000", "x@Y.com", "http://a.b.co.uk/p?q=1&Q=2", "😀",
    "-", "[", "{", "0", "1", "9" * 17, "12.50", "\u2028",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=5))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.integers(-3, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([12.0, 0.5, 1e21, 1e-7, 5.0]),
    TEXTS,
)
_KEYS = st.sampled_from(["", "q", "r", "q.r", "é", "p.", "'", '"'])
VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=4)
RECORDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"s": VALUES, "k": _SCALARS, "n": st.integers(-5, 20) | st.floats(-5, 20), "p": VALUES, "p.q": _SCALARS, "my key": VALUES}
)

_PARTS = [
    ("s",),
    ("k",),
    ("n",),
    ("p",),
    ("p", "q"),
    ("p", "r"),
    ("p", "q", "r"),
    ("my key",),
    ("gone",),
    ("p.q",),
    ("p.q.r",),
    ("p[0].q",),
]
NAMES = st.sampled_from(_PARTS).map(lambda parts: Name(parts, 0, 0))
LITERALS = st.one_of(TEXTS, st.integers(0, 10**20), st.sampled_from([0, 1, 5, 10, 2.5, 4.0, 1e21, 0.1]), st.booleans(), st.none()).map(
    lambda value: Literal(value, 0, 0)
)
_LEAVES = st.one_of(NAMES, NAMES, LITERALS)

# Functions whose literal arguments must be right come with some that are.
_FIXED = [
    Call("todate", (Literal("2006-01-02 15:04:05.000000", 0, 0), Name(("s",), 0, 0)), 0, 0),
    Call("todate", (Literal("2006-01-02", 0, 0), Name(("s",), 0, 0)), 0, 0),
    Call("match", (Literal("p.", 0, 0),), 0, 0),
    Call("match", (Literal("p.q", 0, 0), Literal("s", 0, 0)), 0, 0),
]


def _calls(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    def call(name: str) -> st.SearchStrategy[Node]:
        function = functions()[name]
        most = function.most if function.most is not None else function.least + 1
        return st.lists(inner, min_size=function.least, max_size=most).map(lambda items: Call(name, tuple(items), 0, 0))

    return st.sampled_from(sorted(functions())).flatmap(call)


def _operations(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    binary = st.sampled_from(
        ["OR", "AND", "==", "!=", ">", ">=", "<", "<=", "IN", "INTERSECTS", "LIKE", "CONTAINS", "+", "-", "*", "/", "%"]
    )
    return st.one_of(
        st.builds(lambda name, left, right: Operation(name, (left, right), 0, 0), binary, inner, inner),
        st.builds(lambda name, one: Operation(name, (one,), 0, 0), st.sampled_from(["NOT", "EXISTS", "IS NULL", "IS NOT NULL"]), inner),
        st.builds(lambda one: Operation("-", (one,), 0, 0), NAMES),
        st.builds(lambda one, low, high: Operation("BETWEEN", (one, low, high), 0, 0), inner, inner, inner),
    )


TREES: st.SearchStrategy[Node] = st.recursive(
    st.one_of(_LEAVES, st.sampled_from(_FIXED)),
    lambda inner: st.one_of(
        _operations(inner),
        _operations(_LEAVES),
        _calls(inner),
        st.lists(_LEAVES, min_size=1, max_size=3).map(lambda items: ListOf(tuple(items), 0, 0)),
    ),
    max_leaves=6,
)


def bare(node: Node) -> Any:
    """The tree without places, and with NULL comparisons in the form that the parser gives them."""
    if isinstance(node, Literal):
        return ("literal", type(node.value).__name__, node.value)
    if isinstance(node, Name):
        return ("name", node.parts)
    if isinstance(node, ListOf):
        return ("list", [bare(item) for item in node.items])
    if isinstance(node, Call):
        return ("call", node.name, [bare(argument) for argument in node.arguments])
    return ("operation", node.operator, [bare(operand) for operand in node.operands])
