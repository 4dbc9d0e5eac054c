"""How the state of a profile stands in its row of the table `profiles`.

An hour touches few of many rows, and those stand anywhere, so a build reads every page of what it needs. Lists and maps cannot
be skipped within a page, which makes them five times as dear as all else together. So what a build needs of them stands
beside them once more as a text, `_packed_<field>`, together with their times; the map itself is for everybody else. All
other columns are those of merged rows (`merge`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from etl.engines.sorting import whole
from etl.engines.sql import identifier, named, quote
from etl.profiles.fields import ProfileField
from etl.profiles.merge import parts_column, published_column, state_types, time_column

PACKED_IDENTIFIERS = "_packed_identifiers"
# What JSON gives back as it was. Floats and instants stay as they are.
_EXACT = ("string", "int", "bool", "intsum")
_MICROSECONDS = "BIGINT"


def packed_column(field: ProfileField) -> str | None:
    """The column that a field is packed into; None for fields that are not."""
    nested = field.kind.is_map or field.kind.is_list
    # Where publishing needs the times, they have to be there.
    packed = nested and field.kind.element in _EXACT and published_column(field) == identifier(field.name)
    return identifier(f"_packed_{field.name}") if packed else None


def stored_types(fields: Sequence[ProfileField]) -> dict[str, str]:
    """The columns that the table `profiles` has for fields, with their SQL types."""
    found: dict[str, str] = {}
    for field in fields:
        types = state_types(field)
        if column := packed_column(field):
            kept = (identifier(field.name), parts_column(field))
            types = {name: type_ for name, type_ in types.items() if name in kept} | {column: "VARCHAR"}
        found |= types
    return found


def stored_query(merged: str, fields: Sequence[ProfileField]) -> list[str]:
    """SQL for these columns, over merged rows named `merged` (`merge_query`)."""
    return [f"{sql} AS {column}" for field in fields for column, sql in _stored(merged, field).items()]


def packing_columns(rows: pa.Table, fields: Sequence[ProfileField]) -> dict[str, pa.Array]:
    """What `packed_query` reads, of merged rows: maps as lists side by side, whose bytes they share. As maps, a database would look
    through them for keys that are there twice, which takes longer than all it does with them."""
    found: dict[str, pa.Array] = {"_last": whole(rows["_last"])}
    for field in fields:
        if packed_column(field):
            value, time = whole(rows[field.name]), time_column(field)
            times = whole(rows[named(time)]) if time else None
            parts = {"k": value} if field.kind.is_list else {"k": _list(value, value.keys), "v": _list(value, value.items)}
            if times is not None:
                parts["t"] = times if field.kind.is_list else _list(times, times.items)
            found |= {_part(field, part): column for part, column in parts.items()}
    return found


def packed_query(rows: str, fields: Sequence[ProfileField]) -> list[str]:
    """SQL for the packed columns, over rows named `rows` that have `packing_columns`."""
    return [
        f"{_packed(parts['k'], parts, f'{rows}._last')} AS {column}"
        for field in fields
        if (column := packed_column(field))
        for parts in [{part: f"{rows}.{identifier(_part(field, part))}" for part in _parts(field)}]
    ]


def state_query(stored: str, fields: Sequence[ProfileField], known: Collection[str]) -> list[str]:
    """SQL for the columns of merged rows (`state_columns`), over rows of `profiles` named `stored`, which have the columns
    `known`. What they do not have is left out."""
    found: list[str] = []
    for field in fields:
        column = packed_column(field) or identifier(field.name)
        if column in known:
            found += [f"{sql} AS {name}" for name, sql in _state(stored, field, known).items()]
    return found


def needed_columns(fields: Sequence[ProfileField], known: Collection[str]) -> list[str]:
    """Those of the columns `known` that `state_query` reads."""
    unread = {identifier(field.name) for field in fields if packed_column(field)}
    return [column for column in stored_types(fields) if column in known and column not in unread]


def packed_identifiers(identifiers: str) -> str:
    """SQL for a text of the list of identifiers of a profile."""
    parts = {"n": "e.namespace", "v": "e.value", "t": "epoch_us(e.first_seen)"}
    lists = ", ".join(f"{quote(name)}: list_transform({identifiers}, lambda e: {sql})" for name, sql in parts.items())
    return f"CAST(to_json({{{lists}}}) AS VARCHAR)"


def unpacked_identifiers(source: str) -> str:
    """SQL for the identifiers of profiles, one a row, of rows that have them packed."""
    shape = '{"n": ["VARCHAR"], "v": ["VARCHAR"], "t": ["BIGINT"]}'
    lists = f"SELECT profile_id, _component, from_json({PACKED_IDENTIFIERS}, {quote(shape)}) AS packed FROM {source}"
    each = f"SELECT profile_id, _component, unnest(packed.n) AS namespace, unnest(packed.v) AS value, unnest(packed.t) AS t FROM ({lists})"
    return f"SELECT namespace, value, make_timestamptz(t) AS first, profile_id, _component AS component FROM ({each})"


def _stored(merged: str, field: ProfileField) -> dict[str, str]:
    name, time = identifier(field.name), time_column(field)
    column = packed_column(field)
    if column is None:
        return {one: f"{merged}.{one}" for one in state_types(field)}
    value = f"{merged}.{name}"
    parts = {"k": f"map_keys({value})", "v": f"map_values({value})"} if field.kind.is_map else {"k": value}
    if time:
        parts["t"] = f"map_values({merged}.{time})" if field.kind.is_map else f"{merged}.{time}"
    packed = _packed(value, parts, f"{merged}._last")
    sums = parts_column(field)
    return {name: value, column: packed} | ({sums: f"{merged}.{sums}"} if sums else {})


def _packed(value: str, parts: dict[str, str], last: str) -> str:
    """SQL for the text of a value, of lists: keys or members `k`, values `v`, times `t`."""
    shown = parts | ({"t": f"list_transform({parts['t']}, lambda e: epoch_us({last}) - epoch_us(e))"} if "t" in parts else {})
    lists = ", ".join(f"{quote(key)}: {sql}" for key, sql in shown.items())
    return f"CASE WHEN {value} IS NOT NULL THEN CAST(to_json({{{lists}}}) AS VARCHAR) END"


def _parts(field: ProfileField) -> list[str]:
    return ["k", *(["v"] if field.kind.is_map else []), *(["t"] if time_column(field) else [])]


def _part(field: ProfileField, part: str) -> str:
    return f"_{part}_{field.name}"


def _list(column: pa.MapArray, members: pa.Array) -> pa.Array:
    """The keys or the values of maps as lists."""
    return pa.Array.from_buffers(pa.list_(members.type), len(column), column.buffers()[:2], offset=column.offset, children=[members])


def _state(stored: str, field: ProfileField, known: Collection[str]) -> dict[str, str]:
    name, time = identifier(field.name), time_column(field)
    column = packed_column(field)
    if column is None:
        return {one: f"{stored}.{one}" for one in state_types(field) if one in known}
    element = state_types(field)[name].removesuffix("[]").removeprefix("MAP(VARCHAR, ").removesuffix(")")
    shape = {"k": "VARCHAR", "v": element} if field.kind.is_map else {"k": element}
    shape |= {"t": _MICROSECONDS} if time else {}
    text = "{" + ", ".join(f'"{key}": ["{type_}"]' for key, type_ in shape.items()) + "}"
    packed = f"from_json({stored}.{column}, {quote(text)})"
    keys, values, times = (
        f"struct_extract({packed}, 'k')",
        f"struct_extract({packed}, 'v')",
        f"list_transform(struct_extract({packed}, 't'), lambda e: make_timestamptz(epoch_us({stored}.last_seen) - e))",
    )
    if not field.kind.is_map:
        return {name: keys} | ({time: times} if time else {})
    filled = f"CASE WHEN {stored}.{column} IS NOT NULL THEN"
    found = {name: f"{filled} map({keys}, {values}) END"}
    if (sums := parts_column(field)) in known:
        found[str(sums)] = f"{stored}.{sums}"
    return found | ({time: f"CASE WHEN {times} IS NOT NULL THEN map({keys}, {times}) END"} if time else {})
