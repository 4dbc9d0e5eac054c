"""What came of records, per load, in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.local import Connection, rows
from etl.engines.sql import identifier
from etl.mapping import Mapping
from etl.mapping.plan import Plan
from etl.pipeline.mapped_rows import by_load
from etl.records import masked
from etl.reports import MOST_SAMPLES, FieldCounts

_LONGEST_SAMPLE = 60


@dataclass
class LoadCounts:
    """What came of the records of a load."""

    rows: int = 0
    duplicates: int = 0
    rejects: int = 0
    unidentified: int = 0
    early: int = 0
    fields: dict[str, FieldCounts] = field(default_factory=dict)

    def add(self, other: LoadCounts) -> None:
        for name in ("rows", "duplicates", "rejects", "unidentified", "early"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, counts in other.fields.items():
            self.fields.setdefault(name, FieldCounts()).add(counts)


def count_rows(connection: Connection, plan: Plan, fields: list[str], mapped: pa.Table) -> dict[int, LoadCounts]:
    """By `load_ix` what became of mapped rows; `mapped` is the table of that name too."""
    found = [_counted(ix, rows_, plan, fields) for ix, rows_ in by_load(mapped).items()]
    if plan.guarded:
        parts = [f"count(*) FILTER (NOT ({open_})) AS {identifier('skipped ' + name)}" for name, open_ in plan.guarded.items()]
        skipped = {row["load_ix"]: row for row in rows(connection, f"SELECT load_ix, {', '.join(parts)} FROM mapped GROUP BY load_ix")}
        found = [row | skipped[row["load_ix"]] for row in found]
    samples = _samples(connection, plan, [name for name in plan.misfits if any(row["misfits " + name] for row in found)])
    return {
        row["load_ix"]: LoadCounts(
            rows=row["_rows"],
            unidentified=row["_unidentified"],
            early=row["_early"],
            fields=_by_field(row, fields, samples.get(row["load_ix"], {})),
        )
        for row in found
    }


def _counted(ix: int, mapped: pa.Table, plan: Plan, fields: list[str]) -> dict[str, Any]:
    """The counts of one load; nulls are counted as Arrow keeps them, without a look at the values."""
    found: dict[str, Any] = {
        "load_ix": ix,
        "_rows": len(mapped),
        "_unidentified": mapped["_identity"].null_count,
        "_early": _true(mapped["_early"]),
    }
    found |= {"values " + name: len(mapped) - mapped[name].null_count for name in fields}
    found |= {"misfits " + name: _true(mapped["_misfit_" + name]) for name in plan.misfits}
    return found | {"short_fractions " + name: _true(mapped["_short_" + name]) for name in plan.shorts}


def _true(column: pa.ChunkedArray) -> int:
    return pc.sum(column).as_py() or 0


def leave_out_samples(counts: Iterable[LoadCounts], mapping: Mapping) -> None:
    """Takes the samples of fields that are marked `pii` out of counts."""
    marked = [one.name for one in mapping.fields if one.pii]
    for count in counts:
        for name in marked:
            count.fields.get(name, FieldCounts()).samples = []


def count_fields(connection: Connection, plan: Plan, fields: list[str], records: str) -> dict[str, FieldCounts]:
    """The same of all loads of the table `mapped` together, without what guards skipped; `records` is what was mapped."""
    parts = [f"count({identifier(name)}) AS {identifier('values ' + name)}" for name in fields]
    parts += [f"count(*) FILTER ({_misfit(name)}) AS {identifier('misfits ' + name)}" for name in plan.misfits]
    (row,) = rows(connection, f"SELECT count(*) AS _rows, {', '.join(parts)} FROM mapped")
    samples = _samples(connection, plan, [name for name in plan.misfits if row["misfits " + name]], records)
    together: dict[str, list[str]] = {}
    for one in samples.values():
        for name, texts in one.items():
            together[name] = (together.get(name, []) + texts)[:MOST_SAMPLES]
    return _by_field(row, fields, together)


def fields_text(counts: dict[str, FieldCounts]) -> str:
    """Counts as the JSON text that `loads` keeps; zeros are left out."""
    kept = {name: {key: value for key, value in count.as_dict().items() if value} for name, count in counts.items()}
    return json.dumps(kept, ensure_ascii=False)


def fields_from(text: str) -> dict[str, FieldCounts]:
    """The counts of a row of `loads`. Lakes of the first version kept the number of misfits alone."""
    content = json.loads(text)
    return {name: FieldCounts(misfits=one) if isinstance(one, int) else FieldCounts(**one) for name, one in content.items()}


def _by_field(row: dict[str, Any], fields: list[str], samples: dict[str, list[str]]) -> dict[str, FieldCounts]:
    found = {}
    for name in fields:
        values, misfits, skipped = row["values " + name], row.get("misfits " + name, 0), row.get("skipped " + name, 0)
        found[name] = FieldCounts(
            values=values,
            missing=row["_rows"] - values - misfits - skipped,
            skipped=skipped,
            misfits=misfits,
            short_fractions=row.get("short_fractions " + name, 0),
            samples=samples.get(name, []),
        )
    return found


# The texts of records with a misfit stand beside what they were mapped to.
_MISFITS = "(SELECT load_ix, member_ix, line, _text AS text FROM mapped WHERE _text IS NOT NULL)"


def _samples(connection: Connection, plan: Plan, names: list[str], records: str = _MISFITS) -> dict[int, dict[str, list[str]]]:
    """Up to three masked texts per load and field that did not fit; only fields that have any are looked at."""
    found: dict[int, dict[str, list[str]]] = {}
    for name in names:
        few = f"""SELECT load_ix, member_ix, line FROM mapped WHERE {_misfit(name)}
        QUALIFY row_number() OVER (PARTITION BY load_ix ORDER BY member_ix, line) <= {MOST_SAMPLES}"""
        chosen = f"(SELECT * FROM {records} SEMI JOIN ({few}) USING (load_ix, member_ix, line))"
        for row in rows(connection, f"SELECT * FROM ({plan.raws(chosen, [name])}) ORDER BY load_ix, member_ix, line"):
            found.setdefault(row["load_ix"], {}).setdefault(name, []).append(masked(str(row[name]), _LONGEST_SAMPLE))
    return found


def _misfit(name: str) -> str:
    return identifier("_misfit_" + name)
