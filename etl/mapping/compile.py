"""A checked tree to DuckDB SQL over one row of a record: `text` (its JSON text), the columns that are read from it, and
what fields share.

Every SQL text made here is null for a missing value. What SQL says well it says; the rest, and rows whose shape SQL
cannot tell apart (lists, floats with an exponent), go through the interpreter as an Arrow function, `pm_scalar` and its
kin in `udfs.py`. Both give the same values, and tests hold them together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum

from etl.engines.shred import Read
from etl.engines.sql import identifier, quote
from etl.mapping.conversions import text_of
from etl.mapping.kinds import KINDS, Kind, full_date, plain_number, text_to_kind
from etl.mapping.registry import function_of
from etl.mapping.tree import Call, Literal, Name, Node, Operation, calls_in, names_in
from etl.mapping.write import write

# What `Compiler` calls columns of the record, values read from them, and what fields share; the last has the level in it.
COLUMN = "_c"
VALUE_COLUMN = "_t"
READS = {"date": Read.DATE, "int": Read.INT, "number": Read.NUMBER, "bool": Read.BOOL}
_SHARED = re.compile(r"\b_s([0-9]+)_[0-9]+\b")
_BARE = re.compile(f"(?:{COLUMN}|{VALUE_COLUMN})_[0-9]+")
# Names with more dots than this have too many readings to spell out; the interpreter finds them.
_MOST_STEPS = 5
# The type of a column of members.
MEMBERS = "MAP(VARCHAR, VARCHAR)"


class Form(Enum):
    """What an SQL text yields: VARCHAR, TIMESTAMPTZ, BOOLEAN, a map of VARCHAR, or a map of BIGINT."""

    TEXT = "text"
    TIME = "time"
    BOOL = "bool"
    TEXT_MAP = "map of text"
    COUNT_MAP = "map of counts"


@dataclass(frozen=True)
class Sql:
    text: str
    form: Form


def is_bare(sql: str) -> bool:
    """Whether SQL is but the name of a column of the record, or of a value read from one. Another name for it would be planned
    for nothing."""
    return _BARE.fullmatch(sql) is not None


def json_path(parts: tuple[str, ...]) -> str:
    """A JSON path literal to a nested member."""
    return quote("$" + "".join("." + json.dumps(part, ensure_ascii=False) for part in parts))


@dataclass
class Compiler:
    """Collects the columns that the expressions of one mapping read. `time` is SQL for the message time in microseconds.

    With `shredded` the columns of texts and members are there already, in the forms of `engines.shred`: no line has a
    text that is open, so none gets a second look. `no_lists` are the columns whose lists are wanted as more than one
    text, `values` those that are read as another kind too.
    """

    time: str = "epoch_us(_time)"
    shredded: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    no_lists: set[str] = field(default_factory=set)
    values: list[tuple[str, Read]] = field(default_factory=list)
    _levels: list[dict[str, str]] = field(default_factory=list)

    def shared(self, sql: str) -> str:
        """A name for `sql`, so that it is planned and computed once however often it is used.

        It must not need the message time, which stands above everything shared.
        """
        if is_bare(sql):
            return sql
        level = 1 + max((int(found) for found in _SHARED.findall(sql)), default=0)
        while len(self._levels) < level:
            self._levels.append({})
        names = self._levels[level - 1]
        return names.setdefault(sql, f"_s{level}_{len(names)}")

    def levels(self) -> tuple[dict[str, str], ...]:
        """Name -> SQL, level by level, each over the ones before it; the first is over `r`, the record's columns."""
        columns = {self.name_of(key): f"r.{identifier(key)}" for key in self.read_from_json()}
        return (columns, *({name: sql for sql, name in names.items()} for names in self._levels))

    def read_from_json(self) -> dict[str, str]:
        """The columns that `from_json` has to read, with their types."""
        return {key: type_ for key, type_ in self.columns.items() if not self.shredded or type_ == "JSON"}

    def is_column(self, name: Name) -> bool:
        """Whether a name's text is there as a column and has no other reading."""
        return _has_one_reading(name) and self._column_or_member(name.parts).startswith(COLUMN)

    def members(self, parent: str) -> str | None:
        """SQL of the flat members of an object of the record, as a map of texts; None where they are not there as a column."""
        there = self.shredded and self.columns.setdefault(parent, MEMBERS) == MEMBERS
        return self.name_of(parent) if there else None

    def is_read(self, sql: str) -> bool:
        """Whether SQL is nothing but the name of such a map, or of a text or value that is there as a column."""
        return is_bare(sql) and not any(sql == self.name_of(key) for key in self.read_from_json())

    def column(self, key: str, type_: str = "VARCHAR") -> str:
        """SQL of a top-level column, read as `type_`. One key has one type; a second type reads it from the text."""
        if self.columns.setdefault(key, type_) != type_:
            return f"from_json(json_extract(text, {json_path((key,))}), {quote(json.dumps(type_))})"
        return self.name_of(key)

    def full_date(self, node: Node) -> str | None:
        """SQL of the instant, where the node is a key whose text is a date written in full; None for other nodes.

        No list and no number is written so, so it needs no second look.
        """
        plain = self._plain_key(node)
        return None if plain is None else self.shared(full_date(plain))

    def value(self, node: Node, kind: str) -> str | None:
        """SQL of a key's value as a scalar kind, where that is there as a column: no text of it can fail to fit."""
        if not self.shredded or kind not in READS or not isinstance(node, Name) or not _has_one_reading(node):
            return None
        self._column_or_member(node.parts)
        one = (node.key, READS[kind])
        if self.columns[node.key] != "VARCHAR":
            return None
        if one not in self.values:
            self.values.append(one)
        column = f"{VALUE_COLUMN}_{self.values.index(one)}"
        return f"CAST({column} AS BOOLEAN)" if kind == "bool" else column

    def field(self, node: Node, kind: Kind) -> str:
        """SQL of the node's value as the kind's column type; null where it does not fit."""
        if value := self.value(node, kind.name):
            return value
        if isinstance(node, Name | Literal) and not kind.is_list and not kind.is_map:
            sure = self._surely(node, kind.name)
            found = text_to_kind(self.text(node), kind.name)
            return f"coalesce({sure}, {found})" if sure else found
        made = self._fast(node)
        fitted = _fitted(made, kind) if made else None
        return fitted or self.slow(node, kind)

    def text(self, node: Node) -> str:
        """SQL of the node's text form (VARCHAR)."""
        if isinstance(node, Literal):
            text = text_of(node.value)
            return "CAST(NULL AS VARCHAR)" if text is None else quote(text)
        if isinstance(node, Name) and is_spelled_out(node):
            return self.shared(_coalesce([self._text_at(path) for path in readings_of(node)]))
        return self.slow(node, KINDS["string"])

    def single_text(self, node: Name | Literal) -> str:
        """SQL of the one text that a function gets which takes no lists: of a list it is the first element's."""
        if isinstance(node, Literal) or not is_spelled_out(node):
            return self.text(node)
        paths = readings_of(node)
        return self.shared(_coalesce([self._looked_at_twice(self._plain_at(path), path, "pm_single_text") for path in paths]))

    def plain_text(self, name: Name) -> str:
        """SQL of the value as DuckDB prints it: lists and objects as JSON text."""
        return _coalesce([self._plain_at(path) for path in readings_of(name)])

    def json_text(self, name: Name) -> str:
        """SQL of the value as JSON text, looked up in the record."""
        return _coalesce([f"nullif(CAST(json_extract(text, {json_path(path)}) AS VARCHAR), 'null')" for path in readings_of(name)])

    def condition(self, node: Node) -> str:
        """SQL of a BOOLEAN; null where the value is missing or no bool."""
        from etl.mapping.conditions import condition  # it stands on this module

        return condition(self, node) or self.interpreted_condition(node)

    def interpreted_condition(self, node: Node) -> str:
        """The same, always by the interpreter."""
        return f"CAST({self._call_interpreter('pm_scalar', node, 'condition')} AS BOOLEAN)"

    def slow(self, node: Node, kind: Kind) -> str:
        """SQL of the node's value as the kind, by the interpreter."""
        if kind.is_map:
            made = self._call_interpreter("pm_map", node, kind.name)
            return made if kind.element == "string" else f"CAST({made} AS {kind.sql})"
        if kind.is_list:
            made = self._call_interpreter("pm_list", node, kind.name)
            return made if kind.element == "string" else f"CAST({made} AS {kind.sql})"
        made = self._call_interpreter("pm_scalar", node, kind.name)
        return made if kind.name == "string" else f"CAST({made} AS {kind.sql})"

    def interpreted_map(self, call: Call) -> str:
        """SQL of a call's map of texts, by the interpreter."""
        return self._call_interpreter("pm_map", call, "map[string]string")

    def _surely(self, node: Node, kind: str) -> str | None:
        """SQL that reads the usual texts of a kind off the column as it is; null for all others."""
        if kind == "date":
            return self.full_date(node)
        plain = self._plain_key(node)
        return plain_number(plain, KINDS[kind].sql) if plain is not None and kind in ("int", "number") else None

    def _plain_key(self, node: Node) -> str | None:
        return self._column_or_member(node.parts) if isinstance(node, Name) and len(node.parts) == 1 else None

    def name_of(self, key: str) -> str:
        """The name of the column of a key."""
        return f"{COLUMN}_{list(self.columns).index(key)}"

    def _fast(self, node: Node) -> Sql | None:
        if isinstance(node, Call):
            form = function_of(node).sql
            return form(self, node) if form else None
        return Sql(self.condition(node), Form.BOOL) if isinstance(node, Operation) and _gives_bool(node) else None

    def _call_interpreter(self, function: str, node: Node, kind: str) -> str:
        return f"{function}({quote(write(node))}, {quote(kind)}, {self._inputs(node)}, {self.time})"

    def _inputs(self, node: Node) -> str:
        """SQL of a JSON object with all that the expression reads: by its dotted names, or the whole record."""
        names = names_in(node)
        keys = {name.key: name for name in names}
        whole = any(function_of(call).reads_record for call in calls_in(node))
        if whole or any(keys[name.key].parts != name.parts or not is_spelled_out(name) for name in names):
            return "text"
        members = [
            f"{quote(('{' if n == 0 else ',') + json.dumps(key, ensure_ascii=False) + ':')} || coalesce({self._as_json(name)}, 'null')"
            for n, (key, name) in enumerate(keys.items())
        ]
        return " || ".join([*members, "'}'"]) if members else "'{}'"

    def _as_json(self, name: Name) -> str:
        """The same from a column of its own where the name has no other."""
        if len(name.steps) == 1 and self.columns.setdefault(name.key, "JSON") == "JSON":
            return f"nullif(CAST({self.name_of(name.key)} AS VARCHAR), 'null')"
        return self.json_text(name)

    def _plain_at(self, path: tuple[str, ...]) -> str:
        if len(path) == 1:
            self.no_lists.add(path[0])
        return self._column_or_member(path)

    def _text_at(self, path: tuple[str, ...]) -> str:
        return self._looked_at_twice(self._column_or_member(path), path, "pm_text_of")

    def _column_or_member(self, path: tuple[str, ...]) -> str:
        if len(path) == 1 and self.columns.setdefault(path[0], "VARCHAR") == "VARCHAR":
            return self.name_of(path[0])
        return f"json_extract_string(text, {json_path(path)})"

    def _looked_at_twice(self, fast: str, path: tuple[str, ...], slow: str) -> str:
        if self.shredded and fast.startswith(COLUMN):
            return fast
        return _or_slow(fast, f"json_extract(text, {json_path(path)})", path, slow)


def is_spelled_out(name: Name, most: int = _MOST_STEPS) -> bool:
    """Whether SQL looks at every reading of a name; of others the interpreter does."""
    return len(name.steps) <= most and not name.may_be_place


def readings_of(name: Name) -> list[tuple[str, ...]]:
    """Every way to read dots as either nesting or part of a key, the longest key first (lql.md 4); those that take
    back-ticks at their word come before all others."""
    return list(dict.fromkeys((*_readings(name.parts), *_readings(name.steps))))


def _has_one_reading(name: Name) -> bool:
    """Whether a name can only be a key of the record: one with a dot, in back-ticks too, may be a path, `a[0]` a place in a list."""
    return len(name.steps) == 1 and not name.may_be_place


def _readings(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    if len(parts) == 1:
        return [parts]
    head, rest = parts[0], _readings(parts[1:])
    joined = [(f"{head}.{path[0]}", *path[1:]) for path in rest]
    return joined + [(head, *path) for path in rest]


def _gives_bool(node: Operation) -> bool:
    return node.operator not in ("+", "-", "*", "/", "%")


def _coalesce(sqls: list[str]) -> str:
    return sqls[0] if len(sqls) == 1 else f"coalesce({', '.join(sqls)})"


def _or_slow(fast: str, in_text: str, path: tuple[str, ...], slow: str) -> str:
    """`fast`, except where its text may stand for a list or a float that prints otherwise.

    DuckDB prints an exponent as `1e+21` where it reads a column, and as `1e21` where it looks a member up.
    """
    is_column = fast.startswith(COLUMN) and len(path) == 1
    exponent = f"contains({fast}, 'e+') OR contains({fast}, 'e-')" if is_column else f"contains({fast}, 'e')"
    # Lists start with '[', floats with a digit or a sign, both below ':', and no float has more than 24 characters.
    # Most texts start with a letter above '\\', so that one comparison is all they cost.
    float_ = f"{fast} < ':' AND strlen({fast}) < 25 AND (suffix({fast}, '.0') OR {exponent})"
    doubtful = f"{fast} < '\\' AND ({fast} >= '[' OR {float_})"
    return f"(CASE WHEN {doubtful} THEN {slow}(CAST({in_text} AS VARCHAR)) ELSE {fast} END)"


def _fitted(made: Sql, kind: Kind) -> str | None:
    """SQL of a compiled value as the kind; None where only the interpreter converts so."""
    if kind.is_map:
        return _map_to_kind(made, kind)
    if kind.is_list:
        return None
    if made.form is Form.TIME:
        return made.text if kind.name == "date" else text_to_kind(f"CAST(epoch_ms({made.text}) AS VARCHAR)", kind.name)
    if made.form is Form.BOOL:
        return made.text if kind.name == "bool" else text_to_kind(f"CAST({made.text} AS VARCHAR)", kind.name)
    return text_to_kind(made.text, kind.name) if made.form is Form.TEXT else None


def _map_to_kind(made: Sql, kind: Kind) -> str | None:
    if made.form is Form.COUNT_MAP:
        if kind.element in ("intsum", "int"):
            return made.text
        made = Sql(f"CAST({made.text} AS MAP(VARCHAR, VARCHAR))", Form.TEXT_MAP)
    if made.form is not Form.TEXT_MAP:
        return None
    if kind.element == "string":
        return made.text
    element = text_to_kind("e.value", kind.element or "")
    entries = f"list_transform(map_entries({made.text}), lambda e: {{'key': e.key, 'value': {element}}})"
    kept = f"map_from_entries(list_filter({entries}, lambda e: e.value IS NOT NULL))"
    return f"(CASE WHEN cardinality({kept}) > 0 THEN {kept} END)"
