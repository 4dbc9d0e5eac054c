"""A mapping to one SQL statement over a table of records, plus the counts that reports need.

The records have one row per line that is not blank: `load_ix`, `member_ix`, `line` (from 1), `text`. `loads` has one row
per load: `load_ix`, `fallback_time`. The statement gives one row per JSON object that `where` lets through: `load_ix`,
`member_ix`, `line`, `_time`, `_key`, `_early` (its clock is more than a day ahead), one column per field, and flags:
`_guard_<field>_<n>`, `_misfit_<field>` and `_short_<field>` (a layout's fraction was missing or shorter).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from etl.engines.sql import identifier, quote
from etl.errors import MappingError
from etl.mapping.compile import Compiler
from etl.mapping.kinds import KINDS, text_to_kind
from etl.mapping.layouts import short_fraction
from etl.mapping.model import Field, Mapping, Source
from etl.mapping.parser import parse
from etl.mapping.registry import function_of
from etl.mapping.tree import Call, Literal, Name, Node

IS_OBJECT = "json_valid(text) AND starts_with(ltrim(text, ' ' || chr(9) || chr(13)), '{')"
_UPLOAD_TIME = parse("server_upload_time")
_NO_TIME = "CAST(NULL AS BIGINT)"


@dataclass(frozen=True)
class Plan:
    """The statement of one mapping.

    `misfits`: fields whose values can fail to fit, with the SQL of their raw text. `shorts`: fields read by a layout with
    a fraction. `guarded`: fields none of whose sources is unguarded, with the SQL over the flags that says whether one was open.
    """

    columns: str
    layers: tuple[dict[str, str], ...]
    selected: tuple[str, ...]
    where: str | None
    misfits: dict[str, str]
    shorts: tuple[str, ...]
    guarded: dict[str, str]

    def parsed(self, records: str) -> str:
        """SQL for the JSON objects of the table or query `records` with `r`, the columns of the record, and the values
        that several fields share."""
        found = f"SELECT load_ix, member_ix, line, text, from_json(text, {self.columns}) AS r FROM {records} WHERE {IS_OBJECT}"
        for layer in self.layers:
            if layer:
                found = f"SELECT *, {', '.join(f'{sql} AS {name}' for sql, name in layer.items())} FROM ({found})"
        return found

    def query(self, records: str) -> str:
        """The whole statement over `records`."""
        columns = (",\n    ").join(self.selected)
        where = f"\nWHERE ({self.where}) IS TRUE" if self.where else ""
        return f"""WITH parsed AS ({self.parsed(records)})
SELECT load_ix, member_ix, line,
    {columns}
FROM parsed JOIN loads USING (load_ix){where}"""


def plan(mapping: Mapping) -> Plan:
    """The statement of a checked mapping. Raises MappingError for one that gives events: those are made one by one (`apply`)."""
    if mapping.gives_events:
        raise MappingError(
            f"the mapping {mapping.name} gives events to send on, not fields of profiles",
            where={"file": mapping.path},
            next_step="name a mapping without `into: event`",
        )
    # Before there is a message time, date math has nothing to start from.
    compiler = Compiler(time=_NO_TIME)
    upload = text_to_kind(compiler.text(_UPLOAD_TIME), "date")
    time = f"{compiler.field(mapping.time.node, KINDS['date'])}, " if mapping.time else ""
    key = f"nullif({compiler.text(mapping.key.node)}, '')" if mapping.key else "CAST(NULL AS VARCHAR)"
    where = compiler.condition(mapping.where.node) if mapping.where else None
    compiler.time = "epoch_us(_time)"
    made = [_Columns(compiler, field) for field in mapping.fields]
    selected = [
        f"coalesce({time}{upload}, fallback_time) AS _time",
        f"{key} AS _key",
        f"_time > coalesce({upload}, fallback_time) + INTERVAL 1 DAY AS _early",
        *(sql for columns in made for sql in columns.selected),
    ]
    columns = quote(json.dumps(compiler.columns or {"_": "VARCHAR"}, ensure_ascii=False))
    return Plan(
        columns=columns,
        layers=compiler.layers,
        selected=tuple(selected),
        where=where,
        misfits={one.field.name: one.raw for one in made if one.raw is not None},
        shorts=tuple(one.field.name for one in made if one.short is not None),
        guarded={one.field.name: one.open for one in made if one.open is not None},
    )


class _Columns:
    """The columns of one field: its guards, its value, its flags."""

    def __init__(self, compiler: Compiler, field: Field) -> None:
        self.field = field
        name = identifier(field.name)
        guards = [identifier(f"_guard_{field.name}_{n}") if source.guard else None for n, source in enumerate(field.sources)]
        conditions = [
            f"({compiler.condition(source.guard.node)}) IS TRUE AS {guard}"
            for source, guard in zip(field.sources, guards, strict=True)
            if source.guard
        ]
        values = [
            _guarded(compiler.field(source.expression.node, field.kind), guard) for source, guard in zip(field.sources, guards, strict=True)
        ]
        # Of several sources the last that gives a value counts.
        value = values[0] if len(values) == 1 else f"coalesce({', '.join(reversed(values))})"
        self.open = " OR ".join(guard for guard in guards if guard) if None not in guards else None
        raws = [(_raw(compiler, source, field), guard) for source, guard in zip(field.sources, guards, strict=True)]
        known = [_guarded(raw, guard) for raw, guard in raws if raw is not None]
        self.raw = f"coalesce({', '.join(known)})" if known else None
        shorts = [
            _guarded(short, guard) for source, guard in zip(field.sources, guards, strict=True) if (short := _short(compiler, source))
        ]
        self.short = f"({' OR '.join(shorts)})" if shorts else None
        self.selected = [*conditions, f"{value} AS {name}"]
        if self.raw:
            self.selected.append(f"({self.raw} <> '' AND {name} IS NULL) AS {identifier('_misfit_' + field.name)}")
        if self.short:
            self.selected.append(f"({name} IS NOT NULL AND {self.short}) AS {identifier('_short_' + field.name)}")


def _guarded(sql: str, guard: str | None) -> str:
    return f"CASE WHEN {guard} THEN {sql} END" if guard else sql


def _raw(compiler: Compiler, source: Source, field: Field) -> str | None:
    """SQL of the text that was to become the field's value; None where nothing can fail to fit.

    For functions that read a text as something (a date, an address) it is that text, for others their own value.
    """
    node = source.expression.node
    if isinstance(node, Call) and function_of(node).parses and node.arguments:
        argument = node.arguments[-1] if node.name == "todate" else node.arguments[0]
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
    return short_fraction(str(node.arguments[0].value), compiler.text(node.arguments[1]))
