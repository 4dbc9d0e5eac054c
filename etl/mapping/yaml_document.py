"""The YAML form of a mapping, read to a draft. What `lql` is for the statement form."""

from __future__ import annotations

import yaml

from etl.mapping.draft import Draft, DraftField, Faults, Placed
from etl.mapping.messages import nearest
from etl.mapping.placing import offsets_of
from etl.yaml_words import comma_fault, in_quotes, yaml_fault

_TOP = ("stream", "into", "time", "key", "by", "where", "fields", "extends")
_ROW = ("field", "from", "if", "kind", "label", "description", "merge", "pii", "capacity")

# What other tools, and the statement form, call these keys.
_OTHER_WORDS = {
    _TOP: {
        "table": "stream", "from": "stream", "source": "stream", "filter": "where", "if": "where", "identifiers": "by",
        "ids": "by", "timestamp": "time", "unique": "key", "primary_key": "key", "columns": "fields", "select": "fields",
        "extend": "extends", "include": "extends",
    },
    _ROW: {
        "name": "field", "column": "field", "as": "field", "alias": "field", "source": "from", "expression": "from",
        "expr": "from", "value": "from", "key": "from", "when": "if", "where": "if", "condition": "if", "filter": "if",
        "type": "kind", "datatype": "kind", "mergeop": "merge", "operator": "merge", "aggregate": "merge", "agg": "merge",
        "shortdesc": "label", "title": "label", "longdesc": "description", "desc": "description", "private": "pii",
        "limit": "capacity", "max": "capacity",
    },
}  # fmt: skip
_ROW_EXAMPLE = "for example - {field: city, from: city, kind: string}"


def read_document(text: str, faults: Faults) -> Draft:
    """What the document says, unchecked; its faults are added to `faults`."""
    return _Reader(text, faults).draft()


class _Reader:
    def __init__(self, text: str, faults: Faults) -> None:
        self._text, self._faults = text, faults

    def draft(self) -> Draft:
        root = self._composed()
        if self._faults.found:
            return Draft(unread=True)
        top, misread = self._members(root, _TOP, "a mapping document")
        rows = self._items(top.get("fields"), "fields", _ROW_EXAMPLE)
        return Draft(
            stream=self._scalar(top.get("stream"), "stream"),
            into=self._scalar(top.get("into"), "into"),
            time=self._scalar(top.get("time"), "time"),
            key=self._scalar(top.get("key"), "key"),
            where=self._scalar(top.get("where"), "where"),
            by=self._scalars(top.get("by"), "by"),
            extends=self._scalars(top.get("extends"), "extends"),
            fields=[self._field(row) for row in rows],
            unread=misread or not top,
        )

    def _composed(self) -> yaml.Node | None:
        try:
            return yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            found = yaml_fault(error, self._text)
            self._faults.add("E401", found.message, found.start, found.hint)
        return None

    def _field(self, row: yaml.Node) -> DraftField:
        members, misread = self._members(row, _ROW, "a field")
        if members and "kind" not in members and not misread:
            self._faults.add("E404", "'kind' is missing", row.start_mark.index)
        read = {name: self._scalar(members.get(name), name) for name in _ROW}
        return DraftField(
            start=row.start_mark.index,
            name=read["field"],
            source=read["from"],
            guard=read["if"],
            kind=read["kind"],
            merge=read["merge"],
            label=read["label"],
            description=read["description"],
            pii=read["pii"],
            capacity=read["capacity"],
            explained=frozenset(_ROW if misread or not members else members),
        )

    def _members(self, node: yaml.Node | None, known: tuple[str, ...], what: str) -> tuple[dict[str, yaml.Node], bool]:
        """The values by key, and whether some could not be told apart."""
        if not isinstance(node, yaml.MappingNode):
            place = node.start_mark.index if node else None
            hint = _ROW_EXAMPLE if known is _ROW else "for example stream: amplitude_events"
            self._faults.add("E405", f"{what} is expected here, with keys {', '.join(known)}", place, hint)
            return {}, True
        found: dict[str, yaml.Node] = {}
        before = None
        for key, value in node.value:
            if before is not None and node.flow_style and _is_cut(before[1]) and _is_bare(key, value):
                self._comma(*before)
                return {}, True
            before = (key, value)
            name = str(key.value)
            if name not in known:
                meant = _OTHER_WORDS[known].get(name.lower())
                hint = f"did you mean {meant!r}?" if meant else nearest(name, known) or f"known keys: {', '.join(known)}"
                self._faults.add("E403", f"unknown key {name!r} in {what}", key.start_mark.index, hint, len(name))
                name = meant or name
                found.setdefault(name, value)
            elif name in found:
                self._faults.add("E402", f"the key {name!r} stands twice in {what}", key.start_mark.index, width=len(name))
            else:
                found[name] = value
        return found, any(name not in known for name in found)

    def _comma(self, key: yaml.Node, value: yaml.Node) -> None:
        fault = comma_fault(self._text, str(key.value), value.start_mark.index, value.end_mark.index)
        self._faults.add("E401", fault.message, fault.start, fault.hint)

    def _items(self, node: yaml.Node | None, name: str, hint: str | None = None) -> list[yaml.Node]:
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        if hint is None and isinstance(node, yaml.ScalarNode) and node.value:
            hint = f"write {name}: [{node.value}]"
        self._faults.add("E405", "a list is expected here", node.start_mark.index, hint)
        return []

    def _scalars(self, node: yaml.Node | None, name: str) -> list[Placed]:
        return [placed for item in self._items(node, name) if (placed := self._scalar(item, name))]

    def _scalar(self, node: yaml.Node | None, name: str) -> Placed | None:
        if node is None:
            return None
        start = node.start_mark.index
        if not isinstance(node, yaml.ScalarNode):
            written = self._text[start : node.end_mark.index]
            hint = f"put it in quotes: {in_quotes(name, written)}" if "\n" not in written and name not in ("by", "extends") else None
            self._faults.add("E405", "a single text is expected here", start, hint, len(written))
            return None
        if not str(node.tag).startswith("tag:yaml.org"):
            written = self._text[start : node.end_mark.index]
            hint = f"put the whole value in single quotes: {in_quotes(name, written)}"
            self._faults.add("E401", "a value that starts with ! needs quotes", start, hint)
            return None
        if not node.value and node.style is None and name in ("from", "if", "where", "time", "key"):
            hint = None if name == "from" else f"leave {name!r} out, or write an expression"
            self._faults.add("E404", f"{name!r} is empty", start, hint)
            return None
        offsets = offsets_of(node, self._text)
        return Placed(str(node.value), offsets[0], offsets)


def _is_cut(value: yaml.Node) -> bool:
    """Whether brackets are open at the end of an unquoted value."""
    text = str(value.value) if isinstance(value, yaml.ScalarNode) and value.style is None else ""
    return text.count("(") > text.count(")") or text.count("[") > text.count("]")


def _is_bare(key: yaml.Node, value: yaml.Node) -> bool:
    """Whether a key of { } stands there alone, without a colon."""
    return isinstance(value, yaml.ScalarNode) and not value.value and value.start_mark.index == key.end_mark.index
