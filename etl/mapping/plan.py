"""A mapping to one SQL statement over a table of records, plus the counts that reports need.

The records have one row per line that is not blank: `load_ix`, `member_ix`, `line` (from 1), `text`. `loads` has one row
per load: `load_ix`, `fallback_time`. The statement gives one row per JSON object that `where` lets through: `load_ix`,
`member_ix`, `line`, `_time`, `_key`, `_early` (its clock is more than a day ahead), one column per field, and flags:
`_guard_<field>_<n>`, `_misfit_<field>` and `_short_<field>` (a layout's fraction was missing or shorter).

It is a stack of SELECTs, each over the one below: columns of the record, what fields share, message time, guards, values,
flags. A name of the level below costs DuckDB nothing, where the alias of a neighbour would be planned again at each use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from etl.engines.shred import Shredded, Use, Wanted
from etl.engines.sql import identifier, quote
from etl.errors import MappingError
from etl.mapping.compile import COLUMN, MEMBERS, VALUE_COLUMN, Compiler, is_bare
from etl.mapping.functions.todate import FULL_LAYOUT, full_layout_value
from etl.mapping.kinds import KINDS
from etl.mapping.layouts import short_fraction
from etl.mapping.model import Field, Mapping, Source
from etl.mapping.parser import parse
from etl.mapping.read_columns import ReadColumns, once
from etl.mapping.registry import read_by
from etl.mapping.tree import Call, Literal, Name, Node

_STARTS_AS_OBJECT = "(starts_with(text, '{') OR starts_with(ltrim(text, ' ' || chr(9) || chr(13)), '{'))"
IS_OBJECT = f"json_valid(text) AND {_STARTS_AS_OBJECT}"
NOT_OBJECT = f"NOT ({IS_OBJECT})"
# The same where every line is known to be JSON.
JSON_BUT_NOT_OBJECT = f"NOT {_STARTS_AS_OBJECT}"
_UPLOAD_TIME = parse("server_upload_time")
_NO_TIME = "CAST(NULL AS BIGINT)"
_NEVER = "FALSE"
_NO_TEXT = "CAST(NULL AS VARCHAR)"
_TEXT = re.compile(r"\btext\b")


@dataclass(frozen=True)
class Plan:
    """The statement of one mapping.

    `misfits`: fields whose values can fail to fit, with the SQL of their raw text. `shorts`: fields read by a layout with
    a fraction. `guarded`: fields none of whose sources is unguarded, with the SQL over the flags that says whether one was open.
    `wanted`: of a plan for shredded lines, what they are to have; its records then are what `shredded_table` gives. `read`: what
    the result can have from those without the statement.
    """

    columns: str
    levels: tuple[dict[str, str], ...]
    guards: dict[str, str]
    values: dict[str, str]
    selected: dict[str, str]
    where: str | None
    misfits: dict[str, str]
    shorts: tuple[str, ...]
    guarded: dict[str, str]
    wanted: Wanted | None
    names: dict[str, str]
    read: ReadColumns

    def query(self, records: str, *, all_json: bool = False, with_misfits: bool = False, without: Collection[str] = ()) -> str:
        """The whole statement over the table or query `records`. With `all_json` every line is taken to be JSON, which
        saves a look at each: the statement fails where one is not. With `with_misfits` there is a column `_text` too:
        the record's text, where a value of it did not fit. Columns named in `without` are left out."""
        chosen = {name: sql for name, sql in self.selected.items() if name not in without} | (
            {"_text": "text" if self.misfits else _NO_TEXT} if with_misfits else {}
        )
        columns = ",\n    ".join(f"{sql} AS {identifier(name)}" for name, sql in chosen.items())
        source = _over(self.values, self._guarded(records, all_json))
        found = f"SELECT load_ix, member_ix, line, _time, _key,\n    {columns}\nFROM {source}"
        if not (with_misfits and self.misfits):
            return found
        any_misfit = " OR ".join(identifier("_misfit_" + name) for name in self.misfits)
        return f"SELECT * REPLACE (CASE WHEN {any_misfit} THEN _text END AS _text)\nFROM ({found})"

    @cached_property
    def reads_text(self) -> bool:
        """Whether the statement reads the records' texts, and not their columns alone."""
        return bool(_TEXT.search(self.query("records", with_misfits=True)))

    def raws(self, records: str, fields: Sequence[str]) -> str:
        """SQL for the raw texts of some of the `misfits`: `load_ix`, `member_ix`, `line`, and a column of each field's name."""
        columns = ", ".join(f"{self.misfits[name]} AS {identifier(name)}" for name in fields)
        return f"SELECT load_ix, member_ix, line, {columns} FROM {self._guarded(records, False)}"

    def _guarded(self, records: str, all_json: bool) -> str:
        if self.wanted:
            read = f", from_json(text, {self.columns}) AS r" if self.columns else ""
            found = f"(SELECT *{read} FROM {records})"
        else:
            chosen = _STARTS_AS_OBJECT if all_json else IS_OBJECT
            # Joined while rows are narrow: a join passes each column on behind a selection, which costs every later step.
            source = f"{records} JOIN loads USING (load_ix) WHERE {chosen}"
            found = f"(SELECT load_ix, member_ix, line, text, fallback_time, from_json(text, {self.columns}) AS r FROM {source})"
        for level in self.levels:
            found = _over(level, found)
        if self.where:
            found = f"(SELECT * FROM {found} WHERE ({self.where}) IS TRUE)"
        return _over(self.guards, found)


def _over(level: dict[str, str], source: str) -> str:
    """SQL for `source` with more columns (name -> SQL)."""
    if not level:
        return source
    columns = ",\n    ".join(f"{sql} AS {name}" for name, sql in level.items())
    return f"(SELECT *, {columns}\nFROM {source})"


def shredded_table(plan: Plan, shredded: Shredded, columns: dict[str, pa.Array]) -> pa.Table:
    """The records of a plan for shredded lines: their columns, and `load_ix`, `member_ix`, `line`, `text` and
    `fallback_time` as given."""
    assert plan.wanted is not None
    found = dict(columns)
    for key in plan.wanted.uses:
        found[plan.names[key]] = shredded.members[key] if key in shredded.members else shredded.texts[key]
    values = {f"{VALUE_COLUMN}_{n}": shredded.values[one] for n, one in enumerate(plan.wanted.values)}
    return pa.table(found | values)


def plan(mapping: Mapping, *, shredded: bool = False) -> Plan:
    """The statement of a checked mapping: over lines of JSON, or over lines that `engines.shred` took.

    Raises MappingError for a mapping that gives events: those are made one by one (`apply`).
    """
    if mapping.gives_events:
        raise MappingError(
            f"the mapping {mapping.name} gives events to send on, not fields of profiles",
            where={"file": mapping.path},
            next_step="name a mapping without `into: event`",
        )
    # Before there is a message time, date math has nothing to start from.
    compiler = Compiler(time=_NO_TIME, shredded=shredded)
    upload = f"coalesce({compiler.field(_UPLOAD_TIME, KINDS['date'])}, fallback_time)"
    time = compiler.field(mapping.time.node, KINDS["date"]) if mapping.time else None
    key = f"nullif({compiler.text(mapping.key.node)}, '')" if mapping.key else "CAST(NULL AS VARCHAR)"
    where = compiler.condition(mapping.where.node) if mapping.where else None
    compiler.time = "epoch_us(_time)"
    made = [_Columns(compiler, field, n) for n, field in enumerate(mapping.fields)]
    times = {"_time": f"coalesce({time}, {upload})" if time else upload, "_upload": upload, "_key": key}
    columns = compiler.read_from_json() or ({} if shredded else {"_": "VARCHAR"})
    return Plan(
        columns=quote(json.dumps(columns, ensure_ascii=False)) if columns else "",
        levels=(*compiler.levels(), times),
        guards={name: sql for one in made for name, sql in one.guards.items()},
        values={one.value: one.sql for one in made if one.value != one.sql},
        selected={"_early": "_time > _upload + INTERVAL 1 DAY"} | {name: sql for one in made for name, sql in one.selected.items()},
        where=where,
        misfits={one.field.name: one.raw for one in made if one.raw is not None},
        shorts=tuple(one.field.name for one in made if one.short is not None),
        guarded={one.field.name: one.open for one in made if one.open is not None},
        wanted=_wanted(compiler) if shredded else None,
        names={key: f"{COLUMN}_{n}" for n, key in enumerate(compiler.columns)},
        read=_read(compiler, made) if shredded else ReadColumns(),
    )


def _read(compiler: Compiler, made: Sequence[_Columns]) -> ReadColumns:
    texts = {once(name): name for name in map(compiler.name_of, _columns_of(compiler, "VARCHAR"))}
    return ReadColumns(
        same={one.field.name: one.sql for one in made if compiler.is_read(one.sql)},
        counted={one.field.name: texts[one.sql] for one in made if one.sql in texts},
        never=frozenset(name for one in made for name, sql in one.selected.items() if sql == _NEVER),
    )


def _wanted(compiler: Compiler) -> Wanted:
    texts = {key: Use.TEXT_OF_NO_LIST if key in compiler.no_lists else Use.TEXT for key in _columns_of(compiler, "VARCHAR")}
    return Wanted(texts | dict.fromkeys(_columns_of(compiler, MEMBERS), Use.MEMBERS), tuple(compiler.values))


def _columns_of(compiler: Compiler, type_: str) -> list[str]:
    return [key for key, one in compiler.columns.items() if one == type_]


class _Columns:
    """The columns of one field: its guards, its value, its flags. Below the last level a field goes by its place, since
    its name may be that of a column there."""

    def __init__(self, compiler: Compiler, field: Field, place: int) -> None:
        self.field = field
        guards = [f"_guard_{field.name}_{n}" if source.guard else None for n, source in enumerate(field.sources)]
        names = [identifier(guard) if guard else None for guard in guards]
        guarded = list(zip(field.sources, names, strict=True))
        self.guards = {name: f"({compiler.condition(one.guard.node)}) IS TRUE" for one, name in guarded if one.guard and name}
        values = [_if(name, compiler.field(one.expression.node, field.kind)) for one, name in guarded]
        # Of several sources the last that gives a value counts.
        self.sql = values[0] if len(values) == 1 else f"coalesce({', '.join(reversed(values))})"
        self.value = self.sql if is_bare(self.sql) else f"_v_{place}"
        self.open = " OR ".join(self.guards) if None not in names else None
        raws = [(one, _if(name, raw)) for one, name in guarded if (raw := _raw(compiler, one, field)) is not None]
        # What is there as a value does fit.
        open_ = [raw for one, raw in raws if not _value(compiler, one, field)]
        self.raw = None if not open_ else open_[0] if len(open_) == 1 else f"coalesce({', '.join(open_)})"
        shorts = [_if(name, short) for one, name in guarded if (short := _short(compiler, one)) is not None]
        self.short = f"({' OR '.join(shorts)})" if shorts else None
        self.selected = {guard: identifier(guard) for guard in guards if guard} | {field.name: self.value}
        if self.raw:
            self.selected["_misfit_" + field.name] = f"({self.value} IS NULL AND {self.raw} <> '')"
        elif raws:
            self.selected["_misfit_" + field.name] = _NEVER
        if self.short:
            self.selected["_short_" + field.name] = f"({self.value} IS NOT NULL AND {self.short})"


def _if(guard: str | None, sql: str) -> str:
    return f"CASE WHEN {guard} THEN {sql} END" if guard else sql


def _value(compiler: Compiler, source: Source, field: Field) -> str | None:
    """SQL of the source's value where it is there as a column (`Compiler.value`)."""
    node = source.expression.node
    if isinstance(node, Call) and node.name == "todate" and field.kind.name == "date":
        return full_layout_value(compiler, node)
    return compiler.value(node, field.kind.name)


def _raw(compiler: Compiler, source: Source, field: Field) -> str | None:
    """SQL of the text that was to become the field's value; None where nothing can fail to fit.

    For functions that read a text as something (a date, an address) it is that text, for others their own value.
    """
    node = source.expression.node
    if (argument := read_by(node)) is not None:
        return compiler.text(argument)
    if field.kind.name == "string" or field.kind.is_map or field.kind.is_list or isinstance(node, Literal):
        return None
    if isinstance(node, Name):
        return compiler.text(node)
    return compiler.text(node) if _may_misfit(node, field.kind.name) else None


def _may_misfit(node: Node, kind: str) -> bool:
    """Whether a call's or operation's own kind is another than the field's."""
    from etl.mapping.check import gives

    return gives(node) not in (kind, "int" if kind == "number" else kind)


def _short(compiler: Compiler, source: Source) -> str | None:
    node = source.expression.node
    if not isinstance(node, Call) or node.name != "todate" or len(node.arguments) < 2 or not isinstance(node.arguments[0], Literal):
        return None
    short = short_fraction(str(node.arguments[0].value), compiler.text(node.arguments[1]))
    if full_layout_value(compiler, node):
        return f"strlen({compiler.text(node.arguments[1])}) < {len(FULL_LAYOUT)}"
    in_full = compiler.full_date(node.arguments[1])
    return f"({in_full} IS NULL AND {short})" if short and in_full else short
