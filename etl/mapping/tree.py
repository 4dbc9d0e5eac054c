"""The tree of an expression: five node types, each with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Literal:
    """A constant. Floats stay floats, also without a fraction (`4.0`)."""

    value: str | int | float | bool | None
    start: int
    end: int


@dataclass(frozen=True)
class Name:
    """A key of the record: `a.b` looks for the key `a.b`, then for `b` inside `a`. Back-ticks quote any key.

    `parts` are the dot-separated parts as written; a part from back-ticks may hold dots itself. Where there is no such
    key, its dots are nesting too, and `a[0].b` is a place in a list.
    """

    parts: tuple[str, ...]
    start: int
    end: int

    @property
    def key(self) -> str:
        return ".".join(self.parts)

    @property
    def steps(self) -> tuple[str, ...]:
        """The parts with every dot taken for nesting."""
        return tuple(self.key.split("."))

    @property
    def may_be_place(self) -> bool:
        """Whether it can be the flat key of a place in a list."""
        return "[" in self.key


@dataclass(frozen=True)
class ListOf:
    """A list written out: `["a", "b"]`, or `("a", "b")` where an operator takes a list."""

    items: tuple[Node, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Operation:
    """Operands under an operator; `operator` is its one spelling of several (`==` for `=`, `AND` for `&&`)."""

    operator: str
    operands: tuple[Node, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Call:
    """A function call; `name` is lower case."""

    name: str
    arguments: tuple[Node, ...]
    start: int
    end: int


Node = Literal | Name | ListOf | Operation | Call


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below a node, left to right."""
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Operation):
        return node.operands
    return node.items if isinstance(node, ListOf) else ()


def names_in(node: Node) -> list[Name]:
    """Every name in the tree, left to right."""
    return [node] if isinstance(node, Name) else [name for child in children(node) for name in names_in(child)]


def calls_in(node: Node) -> list[Call]:
    """Every call in the tree, outer ones first."""
    own = [node] if isinstance(node, Call) else []
    return own + [call for child in children(node) for call in calls_in(child)]
