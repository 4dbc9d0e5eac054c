"""Tokens to a tree, by recursive descent. Grammar and precedence: lql.md 3.2, loosest first:

or          = and { ("OR" | "||") and }
and         = comparison { ("AND" | "&&") comparison }
comparison  = sum { ("==" | "=" | "!=" | "<>" | ">" | ">=" | "<" | "<=") sum
                  | ["NOT"] ("IN" | "INTERSECTS" | "LIKE" | "CONTAINS") (list | round | sum)
                  | ["NOT"] "BETWEEN" sum "AND" sum  |  "IS" ["NOT"] "NULL" }
sum         = product { ("+" | "-") product }
product     = unary { ("*" | "/" | "%") unary }
unary       = ("NOT" | "!") comparison  |  "-" unary  |  "EXISTS" primary  |  primary
primary     = literal | key | name "(" [or {"," or}] ")" | list | "(" or ")" | ("AND" | "OR") "(" or {("," | newline) or} ")"
list        = "[" or {"," or} "]"
round       = "(" or {[","] or} ")", the comma only left out before a text or number

Line breaks matter in two places. A name is no call of what stands in parentheses on the next line. Right inside a group
a new line that starts with "(", "AND (" or "OR (" starts an item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from etl.mapping.hints import dot_hint, unexpected_hint
from etl.mapping.lexer import Token, tokens
from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call, ListOf, Literal, Name, Node, Operation

_DEEPEST = 50
_LONGEST = 200
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_COMPARISONS = {"=": "==", "==": "==", "!=": "!=", "<>": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_MEMBERSHIP = ("IN", "INTERSECTS")
_WORD_COMPARISONS = ("in", "intersects", "like", "contains")


def parse(text: str) -> Node:
    """The tree of one expression. Raises ExpressionError with the place of the first fault."""
    parser = Parser(tokens(text), text)
    node = parser.expression()
    parser.expect_end()
    return node


class Parser:
    """Reads expressions off a list of tokens; the statement form reads its clauses with it too."""

    def __init__(self, found: list[Token], text: str) -> None:
        self._tokens, self._text = found, text
        self._position = 0
        self._depth = 0
        self._in_group = False

    @property
    def next(self) -> Token:
        return self._tokens[self._position]

    def take(self) -> Token:
        token = self.next
        self._position += 1
        return token

    def at(self, symbol: str) -> bool:
        return self.next.kind == "symbol" and self.next.value == symbol

    def at_word(self, *words: str) -> bool:
        """Whether an unquoted name stands here that is one of the (lower case) words."""
        return self.next.kind == "name" and self.next.value.lower() in words

    def ahead(self, distance: int) -> Token:
        """The token that many places on; the end token beyond the end."""
        return self._tokens[min(self._position + distance, len(self._tokens) - 1)]

    def take_symbol(self, symbol: str) -> bool:
        return self.at(symbol) and bool(self.take())

    def expect_end(self) -> None:
        if self.next.kind != "end":
            token = self.next
            hint = unexpected_hint(self._text, token.start, token.value)
            raise ExpressionError("E105", f"unexpected {token.value!r} after the expression", token.start, token.end, hint)

    def unexpected(self, code: str, wanted: str) -> ExpressionError:
        token = self.next
        what = "the expression ends here" if token.kind == "end" else f"unexpected {token.value!r}"
        hint = None if token.kind == "end" else unexpected_hint(self._text, token.start, token.value)
        return ExpressionError(code, f"{what}; {wanted}", token.start, token.end, hint)

    def on_new_line(self) -> bool:
        """Whether a line ends between the last token and the next one."""
        return "\n" in self._text[self._tokens[self._position - 1].end : self.next.start]

    def expression(self, *, in_group: bool = False) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("E106", f"more than {_DEEPEST} levels inside each other", self.next.start, self.next.end)
        around, self._in_group = self._in_group, in_group
        node = self._chain(self._and, {"||": "OR"}, {"or": "OR"})
        self._in_group = around
        self._depth -= 1
        return node

    def _and(self) -> Node:
        return self._chain(self._comparison, {"&&": "AND"}, {"and": "AND"})

    def _sum(self) -> Node:
        return self._chain(self._product, {"+": "+", "-": "-"}, {})

    def _product(self) -> Node:
        return self._chain(self._unary, {"*": "*", "/": "/", "%": "%"}, {})

    def _chain(self, operand: Callable[[], Node], symbols: dict[str, str], words: dict[str, str]) -> Node:
        """Operands under operators of one level, left-associative."""
        node, length = operand(), 0
        while True:
            token = self.next
            known = symbols if token.kind == "symbol" else words if token.kind == "name" else {}
            operator = known.get(token.value.lower())
            if operator is None or (token.kind == "name" and self._starts_item()):
                return node
            self.take()
            length += 1
            if length > _LONGEST:
                raise ExpressionError("E106", f"more than {_LONGEST} operators in a row", token.start, token.end, "IN takes a long list")
            right = operand()
            node = Operation(operator, (node, right), node.start, right.end)

    def _comparison(self) -> Node:
        node = self._sum()
        for _ in range(_LONGEST):
            if self.next.kind == "symbol" and self.next.value in _COMPARISONS:
                operator = _COMPARISONS[self.take().value]
                node = _compared(operator, node, self._sum())
            elif self.at_word("is"):
                node = self._is_null(node)
            elif self.at_word("not") and self.ahead(1).value.lower() in (*_WORD_COMPARISONS, "between"):
                start = self.take()
                inner = self._word_comparison(node)
                node = Operation("NOT", (inner,), min(node.start, start.start), inner.end)
            elif self.at_word(*_WORD_COMPARISONS, "between"):
                node = self._word_comparison(node)
            else:
                return node
        raise ExpressionError("E106", f"more than {_LONGEST} comparisons in a row", self.next.start, self.next.end)

    def _word_comparison(self, left: Node) -> Node:
        word = self.take().value.upper()
        if word == "BETWEEN":
            low = self._sum()
            if not (self.at_word("and") or self.at("&&")):
                raise self.unexpected("E109", "BETWEEN needs AND: x BETWEEN 1 AND 10")
            self.take()
            high = self._sum()
            return Operation(word, (left, low, high), left.start, high.end)
        right = self._round_list() if self.at("(") and (word in _MEMBERSHIP or self._is_round_list()) else self._sum()
        text_in = word == "IN" and isinstance(right, Literal) and isinstance(right.value, str)
        if word in _MEMBERSHIP and isinstance(right, Literal) and right.value is not None and not text_in:
            raise ExpressionError(
                "E109", f"{word} needs a list or a key on its right", right.start, right.end, f'write x {word} ["a", "b"]'
            )
        return Operation(word, (left, right), left.start, right.end)

    def _is_null(self, left: Node) -> Node:
        self.take()
        negated = self.at_word("not") and bool(self.take())
        if not self.at_word("null"):
            raise self.unexpected("E109", "IS is followed by NULL or NOT NULL")
        end = self.take().end
        return Operation("IS NOT NULL" if negated else "IS NULL", (left,), left.start, end)

    def _unary(self) -> Node:
        token = self.next
        # `not(x)` and `exists(x)`, written as calls, are functions of these names.
        called = self.ahead(1).value == "(" and self.ahead(1).kind == "symbol" and self.ahead(1).start == token.end
        if self.at("!") or (self.at_word("not") and not called):
            return self._prefixed("NOT", self._comparison)
        if self.at_word("exists") and not called and self._starts_value(self.ahead(1)):
            return self._prefixed("EXISTS", self._primary)
        if self.at("-"):
            return _negated(self._prefixed("-", self._unary))
        return self._primary()

    def _prefixed(self, operator: str, operand: Callable[[], Node]) -> Operation:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("E106", f"more than {_DEEPEST} levels inside each other", self.next.start, self.next.end)
        start = self.take().start
        inner = operand()
        self._depth -= 1
        return Operation(operator, (inner,), start, inner.end)

    @staticmethod
    def _starts_value(token: Token) -> bool:
        return token.kind in ("name", "quoted", "string", "number") or (token.kind == "symbol" and token.value in "([")

    def _primary(self) -> Node:
        token = self.next
        if token.kind == "string":
            self.take()
            return Literal(token.value, token.start, token.end)
        if token.kind == "number":
            self.take()
            return Literal(_number(token), token.start, token.end)
        if token.kind == "quoted":
            return self._quoted_name()
        if self.at_word("and", "or") and self.ahead(1).value == "(":
            return self._group()
        if token.kind == "name":
            return self._name_or_call()
        if self.at("["):
            self.take()
            return self._items(token, "]")
        if self.at("("):
            return self._parentheses()
        raise self.unexpected("E104", "a value, a key or a function is expected")

    def _parentheses(self) -> Node:
        opening = self.take()
        node = self.expression()
        if self.at(","):
            hint = 'conditions are joined by AND (a == 1, b == 2), values make a list as ["a", "b"]'
            raise ExpressionError("E111", "a list in round brackets stands behind IN and its like only", opening.start, self.next.end, hint)
        if not self.at(")"):
            raise self.unexpected("E108", "')' is expected")
        return replace(node, start=opening.start, end=self.take().end)

    def _is_round_list(self) -> bool:
        """Whether the parenthesis that opens here holds a comma of its own."""
        depth = 0
        for token in self._tokens[self._position :]:
            if token.kind != "symbol":
                continue
            depth += (token.value in "([") - (token.value in ")]")
            if depth == 0 or (depth == 1 and token.value == ","):
                return depth == 1
        return False

    def _round_list(self) -> ListOf:
        return self._items(self.take(), ")", ("string", "number"))

    def _items(self, opening: Token, closing: str, without_comma: tuple[str, ...] = ()) -> ListOf:
        """The items of a list up to its closing bracket; a comma before the bracket is fine. Tokens of some kinds need
        none before them."""
        items: list[Node] = []
        while not self.at(closing):
            items.append(self.expression())
            if not self.take_symbol(",") and not self.at(closing) and self.next.kind not in without_comma:
                raise self.unexpected("E108", f"',' or '{closing}' is expected")
        return ListOf(tuple(items), opening.start, self.take().end)

    def _group(self) -> Node:
        """`AND (a, b)`: items separated by commas or line breaks."""
        word = self.take()
        self.take()
        items = [self.expression(in_group=True)]
        while not self.at(")"):
            if not self.take_symbol(",") and (not self.on_new_line() or self.next.kind == "end"):
                raise self.unexpected("E108", "',' or ')' is expected")
            if not self.at(")"):
                items.append(self.expression(in_group=True))
            if len(items) > _LONGEST:
                raise ExpressionError("E106", f"more than {_LONGEST} conditions in a group", word.start, word.end, "IN takes a long list")
        end = self.take().end
        if len(items) == 1:
            return items[0]
        node = items[0]
        for item in items[1:]:
            node = Operation(word.value.upper(), (node, item), word.start, item.end)
        return replace(node, end=end)

    def _starts_item(self) -> bool:
        """Whether the AND or OR here opens the next item of the group around it."""
        after = self.ahead(1)
        return self._in_group and self.on_new_line() and after.kind == "symbol" and after.value == "("

    def _quoted_name(self) -> Name:
        first = last = self.take()
        parts = [first.value]
        while self.at(".") and self.ahead(1).kind in ("quoted", "name"):
            self.take()
            last = self.take()
            parts += [last.value] if last.kind == "quoted" else last.value.split(".")
        if not all(parts):
            raise ExpressionError("E107", "a key may not be empty", first.start, last.end)
        return Name(tuple(parts), first.start, last.end)

    def _name_or_call(self) -> Node:
        token = self.take()
        if self.at("(") and not self.on_new_line():
            self.take()
            return self._call(token)
        if token.value.lower() in _CONSTANTS:
            return Literal(_CONSTANTS[token.value.lower()], token.start, token.end)
        parts = token.value.split(".")
        last = token
        # `a.`b c``: the name took the dot in; the quoted part follows at once.
        if not parts[-1] and len(parts) > 1 and self.next.kind == "quoted" and self.next.start == token.end:
            quoted = self._quoted_name()
            parts, last = parts[:-1] + list(quoted.parts), replace(token, end=quoted.end)
        if not all(parts):
            raise ExpressionError(
                "E107",
                "a key may not start or end with a dot, nor hold two in a row",
                token.start,
                token.end,
                dot_hint(self._text, token.end),
            )
        return Name(tuple(parts), token.start, last.end)

    def _call(self, name: Token) -> Call:
        arguments: list[Node] = []
        while not self.at(")"):
            arguments.append(self.expression())
            if name.value.lower() == "cast" and len(arguments) == 1 and self.at_word("as") and self.ahead(1).kind == "name":
                self.take()
                kind = self.take()
                arguments.append(Literal(kind.value, kind.start, kind.end))
            if self.take_symbol(","):
                if self.at(")"):
                    raise self.unexpected("E104", "a value, a key or a function is expected")
            elif not self.at(")"):
                raise self.unexpected("E108", "',' or ')' is expected")
        end = self.take().end
        return Call(name.value.lower(), tuple(arguments), name.start, end)


def _number(token: Token) -> int | float:
    if token.value.isdigit():
        if len(token.value) > 400:
            raise ExpressionError("E110", "this number has too many digits", token.start, token.end)
        return int(token.value)
    value = float(token.value)
    if value in (float("inf"), float("-inf")):
        raise ExpressionError("E110", "this number is too large", token.start, token.end)
    return value


def _negated(node: Operation) -> Node:
    """A minus sign before a number is part of it."""
    (operand,) = node.operands
    if isinstance(operand, Literal) and isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
        return Literal(-operand.value, node.start, node.end)
    return node


def _compared(operator: str, left: Node, right: Node) -> Node:
    """A comparison; with NULL on one side it asks whether there is a value."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Literal) and one.value is None and operator in ("==", "!="):
            return Operation("IS NULL" if operator == "==" else "IS NOT NULL", (other,), left.start, right.end)
    return Operation(operator, (left, right), left.start, right.end)
