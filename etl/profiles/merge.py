"""Merging by SQL: rows that belong together become one, each field by its merge operator.

A stored value carries its time: `_time_<field>` beside a scalar, beside a map a second map of times with the same keys
in the same order, and beside a list a list of times, of when each member was last seen. Most values were last seen when the
row was: beside a scalar that is null, which takes no room. A sum carries `_parts_<field>`, what it is made of exactly: of
floats (`sums`) a list, of ints beyond 64 bits all of it as a text.
Merging merged rows gives the same as merging all rows at once, in any order and grouping. Ties in time go to the greater
value text (`latest`) or the smaller one (`oldest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from etl.engines.sql import identifier
from etl.profiles.fields import ProfileField
from etl.profiles.sums import EXACT_SUM

_LEAST, _MOST = -(2**63), 2**63 - 1
BOOKKEEPING = "min(_first) AS _first, max(_last) AS _last, CAST(sum(_records) AS BIGINT) AS _records"


def time_column(field: ProfileField) -> str | None:
    """The column of a field's times; None for operators that need none."""
    timed = field.merge in ("latest", "oldest", "merge") or (
        field.kind.is_map and (field.merge in ("min", "max") or field.capacity is not None)
    )
    return identifier(f"_time_{field.name}") if timed else None


def parts_column(field: ProfileField) -> str | None:
    """The column of what a sum is made of exactly; None for everything else."""
    return identifier(f"_parts_{field.name}") if field.merge == "sum" else None


def _adds_floats(field: ProfileField) -> bool:
    return field.merge == "sum" and "number" in (field.kind.name, field.kind.element)


def state_types(field: ProfileField) -> dict[str, str]:
    """Every column that a merged row has for a field, with its SQL type."""
    columns = {identifier(field.name): field.kind.sql}
    if time := time_column(field):
        moment = "TIMESTAMPTZ"
        columns[time] = f"MAP(VARCHAR, {moment})" if field.kind.is_map else f"{moment}[]" if field.kind.is_list else moment
    if parts := parts_column(field):
        part = "DOUBLE[]" if _adds_floats(field) else "VARCHAR"
        columns[parts] = f"MAP(VARCHAR, {part})" if field.kind.is_map else part
    return columns


def state_columns(fields: Sequence[ProfileField]) -> list[str]:
    """Every column that a merged row has for its fields."""
    return [column for field in fields for column in state_types(field)]


def capped_in_state(field: ProfileField) -> bool:
    """Whether what is beyond the capacity may be forgotten: where a key that comes back later brings all that counts of
    it. Sums, least, greatest and oldest values need what was forgotten, so they are cut where profiles are published."""
    return field.capacity is not None and (field.kind.is_list or field.merge == "latest")


def published_column(field: ProfileField) -> str:
    """SQL for a field of a merged row as users see it: cut to its capacity."""
    name = identifier(field.name)
    return name if field.capacity is None or not field.kind.is_map or capped_in_state(field) else _cut(field, name, time_column(field))


class Times(Enum):
    """What is known of the times of the values to be merged: each row stores them, field by field (or they are its `_last`), or
    they are the record's `_time`."""

    STORED = "stored"
    OF_RECORDS = "of records"


def merge_query(source: str, group: Sequence[str], fields: Sequence[ProfileField], times: Times) -> str:
    """SQL that merges the rows of `source` having equal `group` columns (never null).

    The result has `group`, `_first`, `_last`, `_records` and `state_columns`.
    """
    keys = ", ".join(group)
    maps = [field for field in fields if field.kind.is_map or field.kind.is_list]
    scalars = [field for field in fields if field not in maps]
    aggregates = [column for field in scalars for column in _aggregates(field, times)]
    parts = [f"grouped AS (SELECT {', '.join([keys, BOOKKEEPING, *aggregates])} FROM {source} GROUP BY {keys})"]
    parts += [f"map_{n} AS ({(_list if field.kind.is_list else _map)(field, source, keys, times)})" for n, field in enumerate(maps)]
    columns = [*(f"grouped.{key}" for key in group), "_first", "_last", "_records"]
    for field in scalars:
        columns += _unpacked(field)
    for n, field in enumerate(maps):
        columns += _capped_list(field, f"map_{n}") if field.kind.is_list else _capped(field, f"map_{n}")
    joins = " ".join(f"LEFT JOIN map_{n} USING ({keys})" for n in range(len(maps)))
    return f"WITH {', '.join(parts)} SELECT {', '.join(columns)} FROM grouped {joins}"


def text_order(value: str, kind_name: str) -> str:
    """What decides between values of one time: numbers by their text, like everything else, which is one without an exponent."""
    if kind_name not in ("int", "number"):
        return value
    text = f"CAST({value} AS VARCHAR)"
    if kind_name == "int":
        return text
    digits, exponent = f"replace(ltrim(split_part({text}, 'e', 1), '-'), '.', '')", f"TRY_CAST(split_part({text}, 'e', 2) AS INTEGER)"
    small = f"'0.' || repeat('0', -1 - {exponent}) || {digits}"
    large = f"{digits} || repeat('0', {exponent} + 1 - strlen({digits}))"
    plain = f"CASE WHEN {value} < 0 THEN '-' ELSE '' END || CASE WHEN abs({value}) < 1 THEN {small} ELSE {large} END"
    return f"CASE WHEN contains({text}, 'e') THEN {plain} ELSE {text} END"


def _limited(total: str) -> str:
    """SQL for a sum of ints as a value. Beyond 64 bits it stays at their limit: one absurd value must not stop a build."""
    return f"CAST(CASE WHEN {total} > {_MOST} THEN {_MOST} WHEN {total} < {_LEAST} THEN {_LEAST} ELSE {total} END AS BIGINT)"


def _beyond(total: str) -> str:
    return f"{total} NOT BETWEEN {_LEAST} AND {_MOST}"


def _exact(value: str, stored: bool) -> str:
    """SQL for the parts of a sum of floats: of values, or of stored parts."""
    found = f"list({value}) FILTER ({value} IS NOT NULL)"
    return f"{EXACT_SUM}(flatten({found}))" if stored else f"{EXACT_SUM}({found})"


def _aggregates(field: ProfileField, times: Times) -> list[str]:
    """SQL of the aggregate over a scalar, and of its time where that is an aggregate of its own."""
    value, stored = identifier(field.name), times is Times.STORED
    if field.merge in ("min", "max"):
        return [f"{field.merge}({value}) AS {value}"]
    if field.merge == "sum":
        parts = parts_column(field)
        if not _adds_floats(field):
            return [f"sum({f'coalesce(CAST({parts} AS HUGEINT), {value})' if stored else value}) AS {value}"]
        # Rows that were stored before sums had parts have the value alone.
        kept = f"coalesce({parts}, CASE WHEN {value} IS NOT NULL THEN [{value}] END)"
        return [f"{_exact(kept, True) if stored else _exact(value, False)} AS {value}"]
    if field.merge == "count":
        return [f"CAST(sum({value}) AS BIGINT) AS {value}" if stored else f"count({value}) AS {value}"]
    extreme = "max" if field.merge == "latest" else "min"
    time = f"coalesce({time_column(field)}, _last)" if stored else "_time"
    packed = f"{{'t': {time}, 'o': {text_order(value, field.kind_name)}, 'v': {value}}}"
    return [f"{extreme}(CASE WHEN {value} IS NOT NULL THEN {packed} END) AS {value}"]


def _unpacked(field: ProfileField) -> list[str]:
    name = identifier(field.name)
    if time := time_column(field):
        return [f"{name}.v AS {name}", f"nullif({name}.t, _last) AS {time}"]
    parts = parts_column(field)
    if parts is None:
        return [name]
    if _adds_floats(field):
        return [f"{name}[1] AS {name}", f"{name} AS {parts}"]
    return [f"{_limited(name)} AS {name}", f"CASE WHEN {_beyond(name)} THEN CAST({name} AS VARCHAR) END AS {parts}"]


def _map(field: ProfileField, source: str, keys: str, times: Times) -> str:
    """Key by key. `t` is the time of a key (when it was last seen, but for `oldest`), `v` its value, of a sum all of it."""
    value, time, parts = identifier(field.name), time_column(field), parts_column(field)
    stored, floats = times is Times.STORED, _adds_floats(field)
    given = _given(field) if parts and stored else f"map_values({value})"
    columns = [f"unnest(map_keys({value})) AS k", f"unnest({given}) AS v"]
    columns += [(f"unnest(map_values({time}))" if stored else "_time") + " AS t"] if time else []
    entries = f"SELECT {keys}, {', '.join(columns)} FROM {source}"
    if field.merge in ("latest", "oldest"):
        extreme = "max" if field.merge == "latest" else "min"
        ordered = f"{extreme}({{'t': t, 'o': {text_order('v', field.kind.element or '')}, 'v': v}})"
        merged = f"SELECT {keys}, k, m.t AS t, m.v AS v FROM (SELECT {keys}, k, {ordered} AS m FROM ({entries}) GROUP BY {keys}, k)"
    else:
        combined = _exact("v", stored) if floats else f"{field.merge}(v)"
        columns = [f"{combined} AS v"] + (["max(t) AS t"] if time else [])
        merged = f"SELECT {keys}, k, {', '.join(columns)} FROM ({entries}) GROUP BY {keys}, k"
    shown = "v[1]" if floats else _limited("v") if parts else "v"
    made = [f"map(list(k ORDER BY k), list({shown} ORDER BY k)) AS {value}"]
    made += [f"map(list(k ORDER BY k), list(t ORDER BY k)) AS {time}"] if time else []
    if floats:
        made.append(f"map(list(k ORDER BY k), list(v ORDER BY k)) AS {parts}")
    elif parts:
        some = f"FILTER ({_beyond('v')})"
        wide = f"map(list(k ORDER BY k) {some}, list(CAST(v AS VARCHAR) ORDER BY k) {some})"
        made.append(f"CASE WHEN bool_or({_beyond('v')}) THEN {wide} END AS {parts}")
    return f"SELECT {keys}, {', '.join(made)} FROM ({merged}) GROUP BY {keys}"


def _given(field: ProfileField) -> str:
    """SQL for what the values of a stored map of sums are made of, in the order of its keys."""
    value, parts = identifier(field.name), parts_column(field)
    if _adds_floats(field):
        # Rows that were stored before sums had parts have the values alone.
        return f"coalesce(map_values({parts}), list_transform(map_values({value}), lambda e: [e]))"
    each = f"list_transform(map_keys({value}), lambda k: CAST({parts}[k] AS HUGEINT))"
    beside = f"list_transform(list_zip({each}, map_values({value})), lambda e: coalesce(e[1], e[2]))"
    return f"CASE WHEN {parts} IS NULL THEN list_transform(map_values({value}), lambda e: CAST(e AS HUGEINT)) ELSE {beside} END"


def _list(field: ProfileField, source: str, keys: str, times: Times) -> str:
    """The union of lists, each member with the time it was last seen."""
    value, time = identifier(field.name), time_column(field)
    when = f"unnest({time})" if times is Times.STORED else "_time"
    seen = f"SELECT {keys}, k, max(t) AS t FROM (SELECT {keys}, unnest({value}) AS k, {when} AS t FROM {source}) GROUP BY {keys}, k"
    order = _member_order(field)
    return f"SELECT {keys}, list(k ORDER BY {order}) AS {value}, list(t ORDER BY {order}) AS {time} FROM ({seen}) GROUP BY {keys}"


def _member_order(field: ProfileField) -> str:
    return "t, k" if field.kind.keeps_order else "k"


def _capped(field: ProfileField, table: str) -> list[str]:
    """The map, cut to the keys greatest by (time, key) where it holds more than the capacity."""
    columns = state_columns([field])
    if not capped_in_state(field):
        return [f"{table}.{column} AS {column}" for column in columns]
    value, time = columns
    return [f"{_cut(field, f'{table}.{column}', f'{table}.{time}')} AS {column}" for column in (value, time)]


def _cut(field: ProfileField, column: str, time: str | None) -> str:
    """SQL for a map (values or times) without the keys beyond the capacity."""
    # Times may lack where a capacity came to a counter later: such keys go first.
    triples = f"list_zip(map_keys({column}), map_values({column}), map_values({time}))"
    timed = f"list_transform({triples}, lambda e: {{'t': coalesce(e[3], TIMESTAMPTZ '-infinity'), 'k': e[1], 'v': e[2]}})"
    kept = f"list_transform(list_reverse_sort({timed})[:{field.capacity}], lambda e: {{'key': e.k, 'value': e.v}})"
    return f"CASE WHEN cardinality({column}) > {field.capacity} THEN map_from_entries(list_sort({kept})) ELSE {column} END"


def _capped_list(field: ProfileField, table: str) -> list[str]:
    """The list, cut to the members greatest by (time, member) where it holds more than the capacity."""
    value, time = f"{table}.{identifier(field.name)}", f"{table}.{time_column(field)}"
    if field.capacity is None:
        return [f"{value} AS {identifier(field.name)}", f"{time} AS {time_column(field)}"]
    pairs = f"list_transform(list_zip({time}, {value}), lambda e: {{'t': e[1], 'k': e[2]}})"
    kept = f"list_reverse_sort({pairs})[:{field.capacity}]"
    first, second = ("t", "k") if field.kind.keeps_order else ("k", "t")
    ordered = f"list_sort(list_transform({kept}, lambda e: {{'{first}': e.{first}, '{second}': e.{second}}}))"
    full = f"len({value}) > {field.capacity}"
    return [
        f"CASE WHEN {full} THEN list_transform({ordered}, lambda e: e.k) ELSE {value} END AS {identifier(field.name)}",
        f"CASE WHEN {full} THEN list_transform({ordered}, lambda e: e.t) ELSE {time} END AS {time_column(field)}",
    ]
