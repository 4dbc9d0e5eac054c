"""Merging by SQL: rows that belong together become one, each field by its merge operator.

A stored value carries its time: `_time_<field>` beside a scalar, beside a map a second map of times with the same keys
in the same order, and beside a list a list of times, of when each member was last seen. Merging merged rows gives
the same as merging all rows at once, in any order and grouping. Ties in time go to the greater
value text (`latest`) or the smaller one (`oldest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from etl.engines.sql import identifier
from etl.profiles.fields import ProfileField

BOOKKEEPING = "min(_first) AS _first, max(_last) AS _last, CAST(sum(_records) AS BIGINT) AS _records"


def time_column(field: ProfileField) -> str | None:
    """The column of a field's times; None for operators that need none."""
    timed = field.merge in ("latest", "oldest", "merge") or (field.kind.is_map and field.merge in ("min", "max"))
    return identifier(f"_time_{field.name}") if timed else None


def state_columns(fields: Sequence[ProfileField]) -> list[str]:
    """Every column that a merged row has for its fields."""
    return [column for field in fields for column in (identifier(field.name), time_column(field)) if column]


class Times(Enum):
    """What is known of the times of the values to be merged: each row stores them, field by field; or they are the
    record's `_time`, where rows of one group may have equal ones, or never do (then no tie needs to be broken)."""

    STORED = "stored"
    OF_RECORDS = "of records"
    DISTINCT = "distinct"


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
        columns += _unpacked(field, times)
    for n, field in enumerate(maps):
        columns += _capped_list(field, f"map_{n}") if field.kind.is_list else _capped(field, f"map_{n}")
    joins = " ".join(f"LEFT JOIN map_{n} USING ({keys})" for n in range(len(maps)))
    return f"WITH {', '.join(parts)} SELECT {', '.join(columns)} FROM grouped {joins}"


def alone_query(source: str, group: Sequence[str], fields: Sequence[ProfileField]) -> str:
    """SQL for what `merge_query` gives where each record of `source` is the only one of its group."""
    inner, columns = [*group, "_first", "_last", "CAST(_records AS BIGINT) AS _records"], [*group, "_first", "_last", "_records"]
    for field in fields:
        name, time = identifier(field.name), time_column(field)
        inner += _alone(field, name, time)
        if field.kind.is_list or field.kind.is_map:
            columns += _capped_list(field, "alone") if field.kind.is_list else _capped(field, "alone")
        else:
            columns += [name, time] if time else [name]
    return f"SELECT {', '.join(columns)} FROM (SELECT {', '.join(inner)} FROM {source}) alone"


def _alone(field: ProfileField, name: str, time: str | None) -> list[str]:
    if field.kind.is_list:
        return [f"list_sort({name}) AS {name}", f"list_transform({name}, lambda e: _time) AS {time}"]
    if field.kind.is_map:
        times = f"CASE WHEN {name} IS NOT NULL THEN map(map_keys({name}), list_transform(map_keys({name}), lambda e: _time)) END"
        return [name, f"{times} AS {time}"] if time else [name]
    if field.merge == "count":
        return [f"CAST({name} IS NOT NULL AS BIGINT) AS {name}"]
    return [name, f"CASE WHEN {name} IS NOT NULL THEN _time END AS {time}"] if time else [name]


def _text_order(value: str, kind_name: str) -> str:
    """What decides between values of one time: numbers by their text, like everything else."""
    return f"CAST({value} AS VARCHAR)" if kind_name in ("int", "number") else value


def _aggregates(field: ProfileField, times: Times) -> list[str]:
    """SQL of the aggregate over a scalar, and of its time where that is one of its own."""
    value = identifier(field.name)
    if field.merge in ("min", "max"):
        return [f"{field.merge}({value}) AS {value}"]
    if field.merge == "sum":
        return [f"CAST(sum({value}) AS {field.kind.sql}) AS {value}"]
    if field.merge == "count":
        return [f"CAST(sum({value}) AS BIGINT) AS {value}" if times is Times.STORED else f"count({value}) AS {value}"]
    extreme = "max" if field.merge == "latest" else "min"
    if times is Times.DISTINCT:
        own_time = f"{extreme}(CASE WHEN {value} IS NOT NULL THEN _time END) AS {time_column(field)}"
        return [f"arg_{extreme}({value}, _time) AS {value}", own_time]
    time = time_column(field) if times is Times.STORED else "_time"
    packed = f"{{'t': {time}, 'o': {_text_order(value, field.kind_name)}, 'v': {value}}}"
    return [f"{extreme}(CASE WHEN {value} IS NOT NULL THEN {packed} END) AS {value}"]


def _unpacked(field: ProfileField, times: Times) -> list[str]:
    name = identifier(field.name)
    time = time_column(field)
    if time is None:
        return [name]
    return [name, time] if times is Times.DISTINCT else [f"{name}.v AS {name}", f"{name}.t AS {time}"]


def _map(field: ProfileField, source: str, keys: str, times: Times) -> str:
    value = identifier(field.name)
    entries = f"unnest(map_keys({value})) AS k, unnest(map_values({value})) AS v"
    if field.merge == "sum":
        total = (
            f"SELECT {keys}, k, CAST(sum(v) AS {_element_sql(field)}) AS v FROM (SELECT {keys}, {entries} FROM {source}) GROUP BY {keys}, k"
        )
        return f"SELECT {keys}, map(list(k ORDER BY k), list(v ORDER BY k)) AS {value} FROM ({total}) GROUP BY {keys}"
    time = f"unnest(map_values({time_column(field)}))" if times is Times.STORED else "_time"
    if field.merge in ("min", "max"):
        merged = f"{{'t': max(t), 'v': {field.merge}(v)}}"
    elif times is Times.DISTINCT:
        extreme = "max" if field.merge == "latest" else "min"
        merged = f"{{'t': {extreme}(t), 'v': arg_{extreme}(v, t)}}"
    else:
        extreme = "max" if field.merge == "latest" else "min"
        merged = f"{extreme}({{'t': t, 'o': {_text_order('v', field.kind.element or '')}, 'v': v}})"
    latest = f"SELECT {keys}, k, {merged} AS m FROM (SELECT {keys}, {entries}, {time} AS t FROM {source}) GROUP BY {keys}, k"
    return (
        f"SELECT {keys}, map(list(k ORDER BY k), list(m.v ORDER BY k)) AS {value}, "
        f"map(list(k ORDER BY k), list(m.t ORDER BY k)) AS {time_column(field)} FROM ({latest}) GROUP BY {keys}"
    )


def _list(field: ProfileField, source: str, keys: str, times: Times) -> str:
    """The union of lists, each member with the time it was last seen."""
    value, time = identifier(field.name), time_column(field)
    when = f"unnest({time})" if times is Times.STORED else "_time"
    seen = f"SELECT {keys}, k, max(t) AS t FROM (SELECT {keys}, unnest({value}) AS k, {when} AS t FROM {source}) GROUP BY {keys}, k"
    order = _member_order(field)
    return f"SELECT {keys}, list(k ORDER BY {order}) AS {value}, list(t ORDER BY {order}) AS {time} FROM ({seen}) GROUP BY {keys}"


def _member_order(field: ProfileField) -> str:
    return "t, k" if field.kind.keeps_order else "k"


def _element_sql(field: ProfileField) -> str:
    return "DOUBLE" if field.kind.element == "number" else "BIGINT"


def _capped(field: ProfileField, table: str) -> list[str]:
    """The map, cut to the keys greatest by (time, key) where it holds more than the capacity; counters never are."""
    value, time = f"{table}.{identifier(field.name)}", time_column(field)
    if time is None:
        return [f"{value} AS {identifier(field.name)}"]
    times = f"{table}.{time}"
    if field.capacity is None:
        return [f"{value} AS {identifier(field.name)}", f"{times} AS {time}"]
    triples = f"list_zip(map_values({times}), map_keys({value}), map_values({value}))"
    by_time = f"list_reverse_sort(list_transform({triples}, lambda e: {{'t': e[1], 'k': e[2], 'v': e[3]}}))[:{field.capacity}]"
    by_key = f"list_sort(list_transform({by_time}, lambda e: {{'k': e.k, 't': e.t, 'v': e.v}}))"

    def cut(column: str, letter: str) -> str:
        kept = f"map_from_entries(list_transform({by_key}, lambda e: {{'key': e.k, 'value': e.{letter}}}))"
        return f"CASE WHEN cardinality({value}) > {field.capacity} THEN {kept} ELSE {column} END"

    return [f"{cut(value, 'v')} AS {identifier(field.name)}", f"{cut(times, 't')} AS {time}"]


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
