"""Tokens to a tree, by recursive descent: expression = literal | name | name '(' [expression {',' expression}] ')'."""

from __future__ import annotations

from etl.mapping.lexer import Token, tokens
from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call, Literal, Name, Node

_DEEPEST = 50
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse(text: str) -> Node:
    """The tree of one expression. Raises ExpressionError with the place of the first fault."""
    parser = _Parser(tokens(text))
    node = parser.expression(0)
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._position = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _at(self, punctuation: str) -> bool:
        return self._next.kind == "punctuation" and self._next.value == punctuation

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise ExpressionError("E105", f"unexpected {self._next.value!r} after the expression", self._next.start, self._next.end)

    def expression(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ExpressionError("E106", f"more than {_DEEPEST} calls inside each other", self._next.start, self._next.end)
        token = self._next
        if token.kind == "string":
            self._take()
            return Literal(token.value, token.start, token.end)
        if token.kind == "number":
            self._take()
            is_int = token.value.lstrip("+-").isdigit()
            return Literal(int(token.value) if is_int else float(token.value), token.start, token.end)
        if token.kind == "quoted":
            return self._quoted_name()
        if token.kind == "name":
            return self._name_or_call(depth)
        what = "the expression ends here" if token.kind == "end" else f"unexpected {token.value!r}"
        raise ExpressionError("E104", f"{what}; a value, a key or a function is expected", token.start, token.end)

    def _quoted_name(self) -> Name:
        first = last = self._take()
        parts = [first.value]
        while self._at(".") and self._tokens[self._position + 1].kind in ("quoted", "name"):
            self._take()
            last = self._take()
            parts += [last.value] if last.kind == "quoted" else last.value.split(".")
        if not all(parts):
            raise ExpressionError("E107", "a key may not be empty", first.start, last.end)
        return Name(tuple(parts), first.start, last.end)

    def _name_or_call(self, depth: int) -> Node:
        token = self._take()
        if self._at("("):
            self._take()
            return self._call(token, depth)
        if token.value.lower() in _CONSTANTS:
            return Literal(_CONSTANTS[token.value.lower()], token.start, token.end)
        parts = token.value.split(".")
        if not all(parts):
            raise ExpressionError(
                "E107",
                "a key may not start or end with a dot, nor hold two in a row",
                token.start,
                token.end,
                "put it in back-ticks",
            )
        return Name(tuple(parts), token.start, token.end)

    def _call(self, name: Token, depth: int) -> Call:
        arguments: list[Node] = []
        while not self._at(")"):
            arguments.append(self.expression(depth + 1))
            if self._at(","):
                self._take()
                if self._at(")"):
                    raise ExpressionError(
                        "E104",
                        "unexpected ')'; a value, a key or a function is expected",
                        self._next.start,
                        self._next.end,
                    )
            elif not self._at(")"):
                token = self._next
                what = "the expression ends here" if token.kind == "end" else f"unexpected {token.value!r}"
                raise ExpressionError("E108", f"{what}; ',' or ')' is expected", token.start, token.end)
        end = self._take().end
        return Call(name.value.lower(), tuple(arguments), name.start, end)
