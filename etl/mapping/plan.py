"""A mapping to one SQL statement over a table of records, plus the counts that reports need.

The records have one row per line that is not blank: `load_ix`, `member_ix`, `line` (from 1), `text`. `loads` has one row
per load: `load_ix`, `fallback_time`. The statement gives one row per JSON object: `load_ix`, `member_ix`, `line`,
`_time`, `_key`, `_early` (its clock is more than a day ahead), one column per field, and `_misfit_<field>`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from etl.engines.sql import identifier, quote
from etl.mapping.compile import Compiler, to_text
from etl.mapping.kinds import KINDS, layout_free_date
from etl.mapping.model import Field, Mapping
from etl.mapping.parser import parse
from etl.mapping.tree import Node

IS_OBJECT = "json_valid(text) AND starts_with(ltrim(text, ' ' || chr(9) || chr(13)), '{')"
_UPLOAD_TIME = parse("server_upload_time")


@dataclass(frozen=True)
class Plan:
    """The statement of one mapping. `misfits`: fields whose values can fail to fit, with the SQL of their raw text."""

    columns: str
    selected: tuple[str, ...]
    misfits: dict[str, str]

    def parsed(self, records: str) -> str:
        """SQL for the rows of the table or query `records` with `r`, the columns of the record (null: no JSON object)."""
        return f"SELECT load_ix, member_ix, line, text, from_json(CASE WHEN {IS_OBJECT} THEN text END, {self.columns}) AS r FROM {records}"

    def query(self, records: str) -> str:
        """The whole statement over `records`."""
        columns = (",\n    ").join(self.selected)
        return f"""WITH parsed AS ({self.parsed(records)})
SELECT load_ix, member_ix, line,
    {columns}
FROM parsed JOIN loads USING (load_ix) WHERE r IS NOT NULL"""


def plan(mapping: Mapping) -> Plan:
    """The statement of a checked mapping."""
    compiler = Compiler()
    upload = layout_free_date(compiler.text(_UPLOAD_TIME))
    time = f"{compiler.field(mapping.time.node, KINDS['date'])}, " if mapping.time else ""
    key = _text_or_null(compiler, mapping.key.node) if mapping.key else "CAST(NULL AS VARCHAR)"
    values = {field.name: compiler.field(field.source.node, field.kind) for field in mapping.fields}
    misfits = {field.name: _raw(compiler, field) for field in mapping.fields if _can_misfit(field)}
    selected = [
        f"coalesce({time}{upload}, fallback_time) AS _time",
        f"{key} AS _key",
        f"_time > coalesce({upload}, fallback_time) + INTERVAL 1 DAY AS _early",
        *(f"{sql} AS {identifier(name)}" for name, sql in values.items()),
        *(f"({raw} <> '' AND {identifier(name)} IS NULL) AS {identifier('_misfit_' + name)}" for name, raw in misfits.items()),
    ]
    columns = quote(json.dumps(compiler.columns or {"_": "VARCHAR"}, ensure_ascii=False))
    return Plan(columns, tuple(selected), misfits)


def _text_or_null(compiler: Compiler, node: Node) -> str:
    return f"nullif({compiler.text(node)}, '')"


def _can_misfit(field: Field) -> bool:
    return not field.kind.is_map and field.kind.name != "string"


def _raw(compiler: Compiler, field: Field) -> str:
    """SQL of the text that was to become the field's kind: the last argument of `todate`, else the value itself."""
    node = field.source.node
    arguments = getattr(node, "arguments", ())
    return compiler.text(arguments[-1]) if arguments else to_text(compiler.compile(node), node)
