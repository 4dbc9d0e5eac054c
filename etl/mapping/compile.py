"""A checked tree to DuckDB SQL over one row of `parsed`: `text` (the record as JSON text) and `r` (its columns).

Every SQL text made here is null for a missing value. A record's columns are read as VARCHAR; where that loses the
JSON type (lists, floats with an exponent or a zero fraction), the value is looked up again in `text`, which is rare.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum

from etl.engines.sql import identifier, quote
from etl.mapping.kinds import Kind, text_to_kind
from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call, Literal, Name, Node


class Form(Enum):
    """What an SQL text yields: VARCHAR, JSON of any type, TIMESTAMPTZ, or a map of such values."""

    TEXT = "text"
    JSON = "json"
    TIME = "time"
    TEXT_MAP = "map of text"
    JSON_MAP = "map of json"
    COUNT_MAP = "map of counts"


@dataclass(frozen=True)
class Sql:
    text: str
    form: Form


def json_path(parts: tuple[str, ...]) -> str:
    """A JSON path literal to a nested member."""
    return quote("$" + "".join("." + json.dumps(part, ensure_ascii=False) for part in parts))


@dataclass
class Compiler:
    """Collects the columns that the expressions of one mapping read.

    `keep_types`: values keep their JSON type (what `evaluate` shows); otherwise they are text, which is what kinds need.
    """

    keep_types: bool = False
    columns: dict[str, str] = field(default_factory=dict)

    def column(self, key: str, type_: str = "VARCHAR") -> str:
        """SQL of a top-level column, read as `type_`. One key has one type; a second type reads it from the text."""
        if self.columns.setdefault(key, type_) != type_:
            return f"from_json(json_extract(text, {json_path((key,))}), {quote(json.dumps(type_))})"
        return f"r.{identifier(key)}"

    def compile(self, node: Node) -> Sql:
        """SQL of any node. Raises ExpressionError for what only a whole call can tell (see the functions)."""
        if isinstance(node, Call):
            from etl.mapping.functions import function_named  # the functions import this module

            return function_named(node).compile(self, node)
        if self.keep_types:
            return Sql(self._json(node), Form.JSON)
        return Sql(self._text(node), Form.TEXT)

    def text(self, node: Node) -> str:
        """SQL of the node's text form (VARCHAR)."""
        if isinstance(node, Call):
            return to_text(self.compile(node), node)
        return self._text(node)

    def as_json(self, node: Node) -> str:
        """SQL of the node's value as JSON text."""
        if isinstance(node, Call):
            made = self.compile(node)
            return f"CAST(to_json({to_text(made, node)}) AS VARCHAR)" if made.form is not Form.JSON else made.text
        return self._json(node)

    def _text(self, node: Literal | Name) -> str:
        if isinstance(node, Literal):
            from etl.mapping.values import scalar_text

            text = scalar_text(node.value)
            return "CAST(NULL AS VARCHAR)" if text is None else quote(text)
        return _coalesce([self._text_at(path) for path in _readings(node.parts)])

    def plain_text(self, name: Name) -> str:
        """SQL of the value as DuckDB prints it: lists and objects as JSON text."""
        return _coalesce([self._plain_at(path) for path in _readings(name.parts)])

    def _plain_at(self, path: tuple[str, ...]) -> str:
        return self.column(path[0]) if len(path) == 1 else f"json_extract_string(text, {json_path(path)})"

    def _text_at(self, path: tuple[str, ...]) -> str:
        exponent = "'e+') OR contains({0}, 'e-')" if len(path) == 1 else "'e')"
        return _text_or_slow(self._plain_at(path), f"json_extract(text, {json_path(path)})", exponent)

    def _json(self, node: Literal | Name) -> str:
        if isinstance(node, Literal):
            return "CAST(NULL AS VARCHAR)" if node.value is None else quote(json.dumps(node.value, ensure_ascii=False))
        found = [f"CAST(json_extract(text, {json_path(path)}) AS VARCHAR)" for path in _readings(node.parts)]
        return _coalesce([f"nullif({sql}, 'null')" for sql in found])

    def field(self, node: Node, kind: Kind) -> str:
        """SQL of the node's value as the kind's column type; null where it does not fit."""
        made = self.compile(node)
        if kind.is_map:
            return _map_to_kind(made, kind, node)
        if made.form is Form.TIME:
            return made.text if kind.name == "date" else text_to_kind(to_text(made, node), kind.name)
        return text_to_kind(to_text(made, node), kind.name)


def to_text(made: Sql, node: Node) -> str:
    """SQL of the text form of a compiled value; a date is its epoch milliseconds."""
    if made.form is Form.TEXT:
        return made.text
    if made.form is Form.JSON:
        return f"pm_text_of({made.text})"
    if made.form is Form.TIME:
        return f"CAST(epoch_ms({made.text}) AS VARCHAR)"
    raise ExpressionError("E205", "a map has no text form", node.start, node.end, "give the field a map[string].. kind")


def _readings(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every way to read dots as either nesting or part of a key, the plain key first (lql.md 4)."""
    if len(parts) == 1:
        return [parts]
    head, rest = parts[0], _readings(parts[1:])
    joined = [(f"{head}.{path[0]}", *path[1:]) for path in rest]
    return joined + [(head, *path) for path in rest]


def _coalesce(sqls: list[str]) -> str:
    return sqls[0] if len(sqls) == 1 else f"coalesce({', '.join(sqls)})"


def _text_or_slow(fast: str, in_text: str, exponent: str) -> str:
    """`fast`, except where its text may stand for a list or a float that prints otherwise.

    DuckDB prints an exponent as `1e+21` where it reads a column, and as `1e21` where it looks a member up.
    """
    # Floats start with a digit or a sign, both below ':'; most texts do not.
    float_ = f"{fast}[1] < ':' AND (suffix({fast}, '.0') OR contains({fast}, {exponent.format(fast)})"
    doubtful = f"{fast}[1] = '[' OR {float_}"
    return f"(CASE WHEN {doubtful} THEN pm_text_of(CAST({in_text} AS VARCHAR)) ELSE {fast} END)"


def _map_to_kind(made: Sql, kind: Kind, node: Node) -> str:
    if made.form is Form.COUNT_MAP:
        if kind.element in ("intsum", "int"):
            return made.text
        made = Sql(f"CAST({made.text} AS MAP(VARCHAR, VARCHAR))", Form.TEXT_MAP)
    if made.form is not Form.TEXT_MAP:
        raise ExpressionError("E301", f"this is not a map, but the kind is {kind.name}", node.start, node.end)
    if kind.element == "string":
        return made.text
    element = text_to_kind("e.value", kind.element or "")
    entries = f"list_transform(map_entries({made.text}), lambda e: {{'key': e.key, 'value': {element}}})"
    kept = f"map_from_entries(list_filter({entries}, lambda e: e.value IS NOT NULL))"
    return f"(CASE WHEN cardinality({kept}) > 0 THEN {kept} END)"
