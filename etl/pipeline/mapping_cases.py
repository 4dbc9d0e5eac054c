"""Test files of mappings (`<name>.test.yaml` beside `<name>.yaml` or `.lql`) to cases, with every fault of a file at once.

Faults: E601 not YAML · E602 a key twice · E603 unknown key · E604 something is missing · E605 another shape is expected ·
E606 no field of the mapping · E607 a value that the field's kind cannot hold · E608 keys that contradict each other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from etl.errors import MappingError
from etl.faults import nearest
from etl.mapping import Mapping
from etl.mapping.draft import Faults
from etl.mapping.fitting import fitted
from etl.mapping.kinds import KINDS, Kind
from etl.yaml_words import yaml_fault

SUFFIX = ".test.yaml"

# When a test's file arrived, for records that bring no time of their own: the same on every day.
DEFAULT_TIME = datetime(2024, 1, 1, tzinfo=UTC)

_KEYS = ("name", "record", "records", "time", "expect", "expect_time", "expect_key", "exact", "skipped")
_INT, _NUMBER = re.compile(r"-?(0|[1-9][0-9]*)"), re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "~": "null", "": "null"}


@dataclass(frozen=True)
class Expected:
    """What is expected of one field: a value as its kind has it, or None where it must be missing."""

    field: str
    value: Any
    line: int


@dataclass(frozen=True)
class Case:
    """One case: `records` are JSON texts in their order, `time` is what records without a time of their own have.

    `skipped`: `where` must leave every record out. `message_time` and `key` are None where nothing is expected of them.
    """

    name: str
    line: int
    records: tuple[str, ...]
    time: datetime = DEFAULT_TIME
    expected: tuple[Expected, ...] = field(default=())
    exact: bool = False
    skipped: bool = False
    message_time: datetime | None = None
    key: str | None = None


def beside(mapping: Path) -> Path:
    """Where the tests of a mapping file stand."""
    return mapping.with_name(mapping.stem + SUFFIX)


def read_cases(path: Path, mapping: Mapping) -> list[Case]:
    """The cases of a test file. Raises MappingError with all faults of the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"cannot read the tests: {error}", where={"file": path}) from error
    faults = Faults(path.name, text)
    cases = _Reader(text, mapping, faults).cases()
    if faults.found:
        found = faults.sorted()
        count = "a fault" if len(found) == 1 else f"{len(found)} faults"
        raise MappingError(
            f"the tests {path.name} have {count}\n" + "\n".join(fault.render() for fault in found),
            next_step=f"correct {path} and run `profilemill mapping test` again",
        )
    return cases


class _Reader:
    def __init__(self, text: str, mapping: Mapping, faults: Faults) -> None:
        self._text, self._mapping, self._faults = text, mapping, faults
        self._fields = {field.name: field for field in mapping.fields}

    def cases(self) -> list[Case]:
        try:
            root = yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            found = yaml_fault(error, self._text)
            self._faults.add("E601", found.message, found.start, found.hint)
            return []
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            hint = "for example - {name: a buyer, record: {user_id: u-1}, expect: {amplitude_user_id: u-1}}"
            self._faults.add("E605", "a list of cases is expected here", root.start_mark.index if root else None, hint)
            return []
        return [self._case(node, number) for number, node in enumerate(root.value, start=1)]

    def _case(self, node: yaml.Node, number: int) -> Case:
        members = self._members(node, _KEYS, "a case")
        records = self._records(node, members)
        name = self._text_of(members.get("name")) or f"case {number}"
        skipped, exact = self._flag(members.get("skipped")), self._flag(members.get("exact"))
        expected = self._expected(members.get("expect"))
        self._check_together(node, members, len(records), skipped)
        return Case(
            name=name,
            line=node.start_mark.line + 1,
            records=records,
            time=self._date(members.get("time")) or DEFAULT_TIME,
            expected=expected,
            exact=exact,
            skipped=skipped,
            message_time=self._date(members.get("expect_time")),
            key=self._text_of(members.get("expect_key")),
        )

    def _check_together(self, node: yaml.Node, members: dict[str, yaml.Node], records: int, skipped: bool) -> None:
        if not members:
            return
        expecting = [name for name in ("expect", "expect_time", "expect_key") if name in members]
        misspelt = len(members) < len(node.value)
        if not expecting and "skipped" not in members and "exact" not in members and not misspelt:
            self._faults.add("E604", "this case expects nothing", node.start_mark.index, "add expect: {field: value}, or skipped: true")
        if skipped and (expecting or "exact" in members):
            self._faults.add("E608", "a case that is skipped has nothing else to expect", members["skipped"].start_mark.index)
        for name in ("expect_time", "expect_key"):
            if name in members and records > 1:
                hint = "make it a case with one `record`"
                self._faults.add("E608", f"'{name}' is about one record, and this case has {records}", members[name].start_mark.index, hint)

    def _records(self, node: yaml.Node, members: dict[str, yaml.Node]) -> tuple[str, ...]:
        one, several = members.get("record"), members.get("records")
        if one is not None and several is not None:
            self._faults.add("E608", "a case has either 'record' or 'records'", several.start_mark.index)
        elif one is None and several is None and members:
            self._faults.add("E604", "'record' is missing", node.start_mark.index)
        if several is not None and self._mapping.gives_events:
            hint = "make a case of each, with `record`"
            self._faults.add("E608", "a record gives an event of its own, so 'records' has no meaning", several.start_mark.index, hint)
        nodes = [one] if one is not None else self._items(several, "a list of records") if several is not None else []
        if several is not None and not nodes and isinstance(several, yaml.SequenceNode):
            self._faults.add("E604", "'records' holds no record", several.start_mark.index)
        return tuple(self._record(record) for record in nodes)

    def _record(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.MappingNode):
            self._faults.add("E605", "a record is expected here: an object, as it stands in the file", node.start_mark.index)
            return "{}"
        return self._json(node, ())

    def _json(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> str:
        """The JSON text of a node. Numbers stay as they are written; dates, and words such as `yes`, are texts."""
        if any(node is one for one in above):
            self._faults.add("E605", "this holds itself", node.start_mark.index)
            return "null"
        if isinstance(node, yaml.MappingNode):
            pairs = self._pairs(node, "an object")
            return "{" + ", ".join(f"{json.dumps(key)}: {self._json(value, (*above, node))}" for key, value in pairs.items()) + "}"
        if isinstance(node, yaml.SequenceNode):
            return "[" + ", ".join(self._json(item, (*above, node)) for item in node.value) + "]"
        text = str(node.value)
        if _plain(node):
            if text.lower() in _CONSTANTS:
                return _CONSTANTS[text.lower()]
            if _NUMBER.fullmatch(text):
                return text
        return json.dumps(text, ensure_ascii=False)

    def _expected(self, node: yaml.Node | None) -> tuple[Expected, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.MappingNode):
            self._faults.add("E605", "fields with their values are expected here: {field: value}", node.start_mark.index)
            return ()
        found: list[Expected] = []
        for key, value in node.value:
            name = str(key.value)
            if name not in self._fields:
                hint = nearest(name, self._fields) or f"fields of {self._mapping.name}: {_some(self._fields)}"
                self._faults.add("E606", f"the mapping {self._mapping.name} has no field {name!r}", key.start_mark.index, hint, len(name))
            elif any(one.field == name for one in found):
                self._faults.add("E602", f"the key {name!r} stands twice", key.start_mark.index, width=len(name))
            else:
                found.append(Expected(name, self._value(value, self._fields[name].kind), key.start_mark.line + 1))
        return tuple(found)

    def _value(self, node: yaml.Node, kind: Kind) -> Any:
        """The expected value as the kind has it; None for `~`, {} and []."""
        if _is_null(node):
            return None
        if kind.sql == "JSON" and (isinstance(node, yaml.MappingNode) or not kind.is_map):
            return json.loads(self._json(node, ()))
        if kind.is_map:
            if not isinstance(node, yaml.MappingNode):
                self._misfit(node, kind, "write {key: value}")
                return None
            entries = {key: self._scalar(value, KINDS[_element(kind)], kind) for key, value in self._pairs(node, "a map").items()}
            return {key: value for key, value in entries.items() if value is not None} or None
        if kind.is_list:
            if not isinstance(node, yaml.SequenceNode):
                self._misfit(node, kind, "write [a, b]")
                return None
            members = [self._scalar(item, KINDS[_element(kind)], kind) for item in node.value]
            return members or ([] if self._mapping.gives_events else None)
        return self._scalar(node, kind, kind)

    def _scalar(self, node: yaml.Node, kind: Kind, whole: Kind) -> Any:
        """A single value. It is compared as the kind has it, so `amplitude_id: 7` and `amplitude_id: "7"` say the same."""
        if _is_null(node):
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._misfit(node, whole, "a single value is expected here; JSON text needs quotes" if kind.name == "string" else None)
            return None
        if kind.name == "date":
            return self._date(node)
        text = str(node.value)
        value = fitted(_CONSTANTS.get(text.lower(), text) if kind.name == "bool" and _plain(node) else text, kind)
        exact = kind.name not in ("int", "intsum") or _INT.fullmatch(text)
        if kind.name != "string" and (value is None or not exact):
            self._misfit(node, whole, "write true or false" if kind.name == "bool" else None)
            return None
        return text if kind.name == "string" else value

    def _misfit(self, node: yaml.Node, kind: Kind, hint: str | None) -> None:
        shown = f"{node.value!r} is" if isinstance(node, yaml.ScalarNode) else "this is"
        self._faults.add("E607", f"{shown} no {kind.name}", _start(node), hint, _width(node))

    def _date(self, node: yaml.Node | None) -> datetime | None:
        if node is None or _is_null(node):
            return None
        try:
            found = datetime.fromisoformat(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
        except ValueError:
            found = None
        if found is None:
            hint = "write it as 2022-11-21T15:42:30Z; without a zone it is UTC"
            self._faults.add("E607", "this is no date", _start(node), hint, _width(node))
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    def _members(self, node: yaml.Node, known: Iterable[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._faults.add("E605", f"{what} is expected here, with keys {', '.join(known)}", node.start_mark.index)
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in known:
                hint = nearest(name, known) or f"known keys: {', '.join(known)}"
                self._faults.add("E603", f"unknown key {name!r} in {what}", key.start_mark.index, hint, len(name))
            elif name in found:
                self._faults.add("E602", f"the key {name!r} stands twice in {what}", key.start_mark.index, width=len(name))
            else:
                found[name] = value
        return found

    def _pairs(self, node: yaml.MappingNode, what: str, above: tuple[yaml.Node, ...] = ()) -> dict[str, yaml.Node]:
        """The members of an object; those of `<<: *other` come first, so that the object's own take their place."""
        own: dict[str, yaml.Node] = {}
        base: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name == "<<" and _plain(key):
                for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(one, yaml.MappingNode) and one is not node and all(one is not other for other in above):
                        base = self._pairs(one, what, (*above, node)) | base
                    else:
                        self._faults.add("E605", "`<<` takes the members of another object: <<: *name", value.start_mark.index)
            elif name in own:
                self._faults.add("E602", f"the key {name!r} stands twice in {what}", key.start_mark.index, width=len(name))
            else:
                own[name] = value
        return base | own

    def _items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._faults.add("E605", f"{what} is expected here", node.start_mark.index)
        return []

    def _text_of(self, node: yaml.Node | None) -> str | None:
        if node is None or _is_null(node):
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._faults.add("E605", "a single text is expected here", node.start_mark.index)
        return None

    def _flag(self, node: yaml.Node | None) -> bool:
        if node is None:
            return False
        if isinstance(node, yaml.ScalarNode) and str(node.value).lower() in ("true", "false"):
            return str(node.value).lower() == "true"
        self._faults.add("E605", "true or false is expected here", _start(node), width=_width(node))
        return False


def shown(value: Any) -> str:
    """A value as people read it in a difference; a date as ISO text."""
    if value is None:
        return "missing"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and math.fabs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=lambda item: item.isoformat())


def _element(kind: Kind) -> str:
    return "int" if kind.is_counter else str(kind.element)


def _plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None


def _is_null(node: yaml.Node) -> bool:
    return _plain(node) and _CONSTANTS.get(str(node.value).lower()) == "null"


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index) + (0 if not isinstance(node, yaml.ScalarNode) or _plain(node) else 1)


def _width(node: yaml.Node) -> int:
    return max(1, len(str(node.value))) if isinstance(node, yaml.ScalarNode) else 1


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
