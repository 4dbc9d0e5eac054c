"""The statement form of a mapping, read to a draft:

    SELECT column, .. FROM stream [INTO table] [BY field {OR field}] [WHERE condition] [ALIAS name]
    column = expression [AS field] {IF condition | KIND kind | MERGEOP operator | SHORTDESC text | LONGDESC text}

Keywords in any case, clauses and qualifiers in any order (lql.md 2). Ours, so that a document loses nothing: the clauses
TIME expression, KEY expression, EXTENDS name, and the qualifiers CAPACITY number and PII.
"""

from __future__ import annotations

from etl.mapping.draft import Draft, DraftField, Faults, Placed
from etl.mapping.hints import blank_hint
from etl.mapping.lexer import tokens
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.parser import Parser
from etl.mapping.tree import Call, Name, Node, names_in

CLAUSES = ("from", "into", "by", "where", "alias", "time", "key", "extends")
QUALIFIERS = ("as", "if", "kind", "mergeop", "shortdesc", "longdesc", "capacity", "pii")
_PLAIN_NAMES = ("todate", "toint", "tostring")


def read_statement(text: str, faults: Faults) -> Draft:
    """What the statement says, unchecked; its faults are added to `faults`."""
    # A semicolon at the end is what people of SQL write; it says nothing.
    stripped = text.rstrip()
    if stripped.endswith(";"):
        text = stripped[:-1] + " " + text[len(stripped) :]
    try:
        return _Statement(text, faults).draft()
    except ExpressionError as error:
        faults.add(error.code, error.message, error.start, error.hint, error.end - error.start)
        return Draft(unread=True)


class _Statement:
    def __init__(self, text: str, faults: Faults) -> None:
        self._text, self._faults = text, faults
        self._parser = Parser(tokens(text), text)

    def draft(self) -> Draft:
        found = Draft()
        parser = self._parser
        if not parser.at_word("select"):
            token = parser.next
            raise ExpressionError("E410", "a statement starts with SELECT", token.start, token.end, "SELECT user_id AS id FROM events")
        parser.take()
        while not parser.at_word(*CLAUSES) and parser.next.kind != "end":
            if (field := self._tried(self._column)) is not None:
                found.fields.append(field)
            if not parser.take_symbol(",") and not parser.at_word(*CLAUSES) and parser.next.kind != "end":
                self._no_comma()
        try:
            while parser.next.kind != "end":
                self._clause(found)
        except ExpressionError as error:
            self._faults.add(error.code, error.message, error.start, error.hint, error.end - error.start)
            found.unread = True
        if found.stream is None and not found.extends and not self._faults.found:
            self._faults.add("E404", "FROM is missing: the stream that this statement reads", len(self._text.rstrip()) - 1)
            found.unread = True
        return found

    def _tried(self, action: object) -> DraftField | None:
        """A column; after a fault in it reading goes on at the next one."""
        try:
            return action()  # type: ignore[operator,no-any-return]
        except ExpressionError as error:
            self._faults.add(error.code, error.message, error.start, error.hint, error.end - error.start)
        depth = 0
        while self._parser.next.kind != "end":
            if depth == 0 and (self._parser.at(",") or self._parser.at_word("from")):
                break
            token = self._parser.take()
            depth += (token.value in "([") - (token.value in ")]") if token.kind == "symbol" else 0
            depth = max(depth, 0)
        return None

    def _no_comma(self) -> None:
        token = self._parser.take()
        near = nearest(token.value, (*QUALIFIERS, *CLAUSES)) if token.kind == "name" and len(token.value) > 3 else None
        near = "did you mean 'kind'?" if token.value.lower() == "type" else near
        hint = near.upper().replace("DID YOU MEAN", "did you mean") if near else None
        line = self._text[self._text.rfind("\n", 0, token.start) + 1 : token.start]
        if hint is None and (blank := blank_hint(line.rstrip(), self._text[token.start :])):
            hint = f"{blank}; columns are separated by commas"
        self._faults.add(
            "E411",
            f"unexpected {token.value!r}; a comma, {', '.join(QUALIFIERS).upper()} or FROM is expected",
            token.start,
            hint or "columns are separated by commas",
            token.end - token.start,
        )
        while not self._parser.at(",") and not self._parser.at_word("from") and self._parser.next.kind != "end":
            self._parser.take()
        self._parser.take_symbol(",")

    def _column(self) -> DraftField:
        parser = self._parser
        start = parser.next.start
        if parser.at("*"):
            raise ExpressionError(
                "E412", "a mapping names its fields one by one", start, start + 1, 'match("prefix.") takes many keys as a map'
            )
        node = parser.expression()
        given: dict[str, Placed] = {}
        while parser.at_word(*QUALIFIERS):
            word = parser.take()
            name = word.value.lower()
            if name in given:
                raise ExpressionError("E402", f"{word.value.upper()} stands twice in a column", word.start, word.end)
            given[name] = Placed("true", word.start) if name == "pii" else self._expression() if name == "if" else self._value(name)
        label = given.get("as") or self._default_name(node)
        return DraftField(
            start=start,
            name=label,
            source=Placed(self._text[node.start : node.end], node.start),
            guard=given.get("if"),
            kind=given.get("kind"),
            merge=given.get("mergeop"),
            label=given.get("shortdesc"),
            description=given.get("longdesc"),
            pii=given.get("pii"),
            capacity=given.get("capacity"),
            explained=frozenset(("field", "from")),
        )

    def _value(self, qualifier: str) -> Placed:
        parser = self._parser
        if qualifier == "kind":
            return self._kind()
        token = parser.next
        kinds = {"as": ("name", "quoted"), "mergeop": ("name",), "capacity": ("number",)}.get(qualifier, ("string",))
        if token.kind not in kinds:
            what = {"as": "the field's name", "mergeop": "a merge operator", "capacity": "a number"}.get(qualifier, "text in quotes")
            hint = f"write it without quotes: AS {token.value}" if qualifier == "as" and token.kind == "string" else None
            raise ExpressionError("E413", f"{qualifier.upper()} is followed by {what}", token.start, token.end, hint)
        parser.take()
        return Placed(token.value, token.start + (token.kind in ("quoted", "string")))

    def _kind(self) -> Placed:
        """`map[string]intsum`: the tokens of a kind stand without blanks."""
        parser = self._parser
        first = last = parser.next
        if first.kind not in ("name", "symbol") or (first.kind == "symbol" and first.value != "["):
            raise ExpressionError("E413", "KIND is followed by a kind", first.start, first.end, "for example KIND map[string]string")
        parser.take()
        while parser.next.start == last.end and (parser.at("[") or parser.at("]") or parser.next.kind == "name"):
            last = parser.take()
        return Placed(self._text[first.start : last.end], first.start)

    def _expression(self) -> Placed:
        node = self._parser.expression()
        return Placed(self._text[node.start : node.end], node.start)

    def _default_name(self, node: Node) -> Placed | None:
        """A column without AS: a key keeps its name, a function makes one of the first key inside it."""
        if isinstance(node, Name):
            return Placed(node.key, node.start)
        if not isinstance(node, Call):
            raise ExpressionError("E414", "this column needs a name", node.start, node.end, "add AS and the field's name")
        names = names_in(node)
        if not names:
            return Placed(node.name, node.start)
        key = names[0].key
        prefix = "" if node.name in _PLAIN_NAMES else {"count": "ct_", "valuect": "cts_", "mapct": "cts_"}.get(node.name, f"{node.name}_")
        return Placed(prefix + key, node.start)

    def _clause(self, found: Draft) -> None:
        parser = self._parser
        word = parser.take()
        name = word.value.lower() if word.kind == "name" else ""
        if name in ("where", "time", "key"):
            setattr(found, name, self._expression())
        elif name in ("from", "into", "alias"):
            placed = self._word(name)
            if name != "alias":
                setattr(found, "stream" if name == "from" else name, placed)
        elif name in ("by", "extends"):
            listed = found.by if name == "by" else found.extends
            listed.append(self._word(name))
            while parser.at_word("or") or parser.at(","):
                parser.take()
                listed.append(self._word(name))
        else:
            hint = "records are merged by BY and MERGEOP" if name in ("group", "order") else nearest(name, CLAUSES)
            hint = "a file holds one statement" if name == "select" else hint
            raise ExpressionError(
                "E415", f"unexpected {word.value!r}; {', '.join(CLAUSES).upper()} can stand here", word.start, word.end, hint
            )

    def _word(self, clause: str) -> Placed:
        token = self._parser.next
        if token.kind not in ("name", "quoted"):
            raise ExpressionError("E413", f"{clause.upper()} is followed by a name", token.start, token.end)
        self._parser.take()
        return Placed(token.value, token.start + (token.kind == "quoted"))
