"""The tree of an expression: three node types, each with its place in the text."""

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

    `parts` are the dot-separated parts as written; a part from back-ticks may hold dots itself.
    """

    parts: tuple[str, ...]
    start: int
    end: int

    @property
    def key(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Call:
    """A function call; `name` is lower case."""

    name: str
    arguments: tuple[Node, ...]
    start: int
    end: int


Node = Literal | Name | Call


def names_in(node: Node) -> list[Name]:
    """Every name in the tree, left to right."""
    if isinstance(node, Name):
        return [node]
    if isinstance(node, Call):
        return [name for argument in node.arguments for name in names_in(argument)]
    return []
