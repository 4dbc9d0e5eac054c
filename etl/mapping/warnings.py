"""Likely mistakes in a mapping that is correct as far as it goes. They stop nothing."""

from __future__ import annotations

from etl.mapping.draft import Draft, DraftField, Faults
from etl.mapping.habits import habits_in, keys_in
from etl.mapping.model import Expression, Field, Mapping
from etl.mapping.tree import Call, Literal, Node


def warn_of(mapping: Mapping, draft: Draft, faults: Faults) -> None:
    """Adds the warnings of one file's own rows; its bases have given theirs."""
    for row in draft.fields:
        if row.name is None or row.source is None:
            continue
        field = mapping.field(row.name.text)
        source = next(one for one in field.sources if one.expression.text == row.source.text)
        _counter(field, source.expression.node, row, faults)
        _without_key(mapping, field, row, faults)
        _growing(field, source.expression.node, row, faults)
    _habits(mapping, draft, faults)


def _habits(mapping: Mapping, draft: Draft, faults: Faults) -> None:
    placed = [one for row in draft.fields for one in (row.source, row.guard)] + [draft.time, draft.key, draft.where]
    written = {one.text: one.node for one in _expressions(mapping)}
    keys = keys_in(tuple(written.values()))
    for place in (one for one in placed if one):
        for habit in habits_in(place.text, written[place.text], keys):
            start = place.at(habit.start)
            faults.warn(habit.code, habit.message, start, habit.hint, place.at(habit.end - 1) + 1 - start)


def _expressions(mapping: Mapping) -> list[Expression]:
    sources = [one for field in mapping.fields for source in field.sources for one in (source.expression, source.guard)]
    return [one for one in (*sources, mapping.time, mapping.key, mapping.where) if one]


def _counter(field: Field, node: Node, row: DraftField, faults: Faults) -> None:
    if isinstance(node, Call) and node.name in ("count", "valuect", "mapct") and field.merge in ("latest", "oldest"):
        wanted = "kind map[string]intsum" if field.kind.is_map else "merge: sum"
        place = row.merge or row.kind or row.source
        assert place is not None
        faults.warn(
            "W501",
            f"{node.name} counts one record; with {field.merge} the field never gets beyond it",
            place.start,
            f"to count all records write {wanted}",
            place.width,
        )


def _without_key(mapping: Mapping, field: Field, row: DraftField, faults: Faults) -> None:
    if mapping.key is None and field.merge in ("sum", "count"):
        place = row.kind or row.name
        assert place is not None
        faults.warn(
            "W502",
            f"the field {field.name!r} adds up, but this mapping has no 'key': a record that a file holds twice counts twice",
            place.start,
            "name what is unique in a record, for example key: uuid",
            place.width,
        )


def _growing(field: Field, node: Node, row: DraftField, faults: Faults) -> None:
    grows = field.kind.is_list or (field.kind.is_map and not _has_fixed_key(node))
    if grows and field.capacity is None and row.capacity is None and field.merge != "sum":
        place = row.kind or row.name
        assert place is not None
        what = "keys" if field.kind.is_map else "members"
        faults.warn(
            "W503",
            f"the field {field.name!r} keeps every one of its {what} for ever",
            place.start,
            "give it a capacity, for example capacity: 1000; capacity: 0 says that it is meant",
            place.width,
        )


def _has_fixed_key(node: Node) -> bool:
    return (
        isinstance(node, Call)
        and node.name in ("map", "maptime", "useragent.map")
        and (node.name == "useragent.map" or isinstance(node.arguments[0], Literal))
    )
