"""Likely mistakes in a mapping that is correct as far as it goes. They stop nothing."""

from __future__ import annotations

from etl.mapping.draft import Draft, DraftField, Faults
from etl.mapping.model import Field, Mapping
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
            len(place.text),
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
            len(place.text),
        )


def _growing(field: Field, node: Node, row: DraftField, faults: Faults) -> None:
    grows = field.kind.is_list or (field.kind.is_map and not _has_fixed_key(node))
    if grows and field.capacity is None and field.merge != "sum":
        place = row.kind or row.name
        assert place is not None
        what = "keys" if field.kind.is_map else "members"
        faults.warn(
            "W503",
            f"the field {field.name!r} keeps every one of its {what} for ever",
            place.start,
            "give it a capacity, for example capacity: 1000",
            len(place.text),
        )


def _has_fixed_key(node: Node) -> bool:
    return (
        isinstance(node, Call)
        and node.name in ("map", "maptime", "useragent.map")
        and (node.name == "useragent.map" or isinstance(node.arguments[0], Literal))
    )
