"""A draft to a checked mapping, with every fault found on the way. One for both front ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from etl.mapping.check import check_condition, check_field, check_merge, default_kind, faults_in
from etl.mapping.draft import Draft, DraftField, Faults, Placed, in_order, truth_of
from etl.mapping.hints import kind_hint
from etl.mapping.kinds import EVENT_KINDS, KINDS, Kind, kind_named
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.model import (
    EVENT,
    Expression,
    Field,
    Mapping,
    Source,
    default_capacity,
    default_merge,
    merge_named,
)
from etl.mapping.parser import parse
from etl.mapping.paths import contradiction, path_of, written
from etl.mapping.warnings import warn_of

_RESERVED = ("profile_id", "first_seen", "last_seen", "load", "date", "bucket")


def assemble(draft: Draft, bases: Sequence[Mapping], faults: Faults, path: Path) -> Mapping | None:
    """The mapping; None where something had to be left out because of a fault (`faults.found` says which)."""
    return _Assembly(draft, bases, faults, path).mapping()


def check_texts(draft: Draft, faults: Faults) -> None:
    """Adds the faults of a draft that its mapping's bases have no part in: those of every field and expression."""
    _Assembly(draft, (), faults, Path()).check_texts()


class _Assembly:
    def __init__(self, draft: Draft, bases: Sequence[Mapping], faults: Faults, path: Path) -> None:
        self._draft, self._bases, self._faults, self._path = draft, bases, faults, path
        base = next(iter(bases), None)
        self._into = draft.into.text if draft.into else base.into if base else "user"
        self._of_event = self._into.lower() == EVENT

    def mapping(self) -> Mapping | None:
        draft, base = self._draft, next(iter(self._bases), None)
        fields = self._fields()
        stream = draft.stream.text if draft.stream else base.stream if base else ""
        if not stream and not draft.stream and not draft.unread:
            self._faults.add("E404", "'stream' is missing: the name of the records that this mapping reads", None)
        if not fields and not self._faults.found:
            self._faults.add("E404", "'fields' is missing: there is nothing to map", None)
        by = self._identifiers(fields) or (base.by if base else ())
        time = self._time() if draft.time else base.time if base else None
        key = self._expression(draft.key) if draft.key else base.key if base else None
        where = self._condition(draft.where) if draft.where else base.where if base else None
        self._check_bases()
        if self._of_event:
            self._check_event(fields)
        if self._faults.found:
            return None
        made = Mapping(
            name=self._path.stem,
            stream=stream,
            fields=tuple(fields.values()),
            by=by,
            time=time,
            key=key,
            where=where,
            path=self._path,
            files=(self._path, *(path for one in self._bases for path in one.files)),
            into=self._into,
        )
        if not self._of_event:
            warn_of(made, draft, self._faults)
        return Mapping(**{**made.__dict__, "warnings": tuple(in_order(self._faults.warnings))})

    def check_texts(self) -> None:
        for row in self._draft.fields:
            self._field(row)
        for placed in (self._draft.time, self._draft.key, self._draft.where):
            self._expression(placed)

    def _fields(self) -> dict[str, Field]:
        found: dict[str, Field] = {field.name: field for base in self._bases for field in base.fields}
        spelled = {name.lower(): name for name in found}
        for row in self._draft.fields:
            field = self._field(row)
            if field is None:
                continue
            before = found.get(field.name)
            start = row.name.start if row.name else row.start
            if before is None:
                if (other := spelled.setdefault(field.name.lower(), field.name)) != field.name:
                    # Names of columns are the same in any case.
                    message = f"the field {field.name!r} differs from {other!r} only in case"
                    self._faults.add("E406", message, start, "give one of them another name", len(field.name))
                found[field.name] = field
                continue
            if (before.kind, before.merge) != (field.kind, field.merge):
                self._faults.add(
                    "E406",
                    f"the field {field.name!r} is mapped before as {before.kind.name}, {before.merge}; "
                    f"here it is {field.kind.name}, {field.merge}",
                    start,
                    "a field mapped twice needs one kind and one merge operator",
                    len(field.name),
                )
            elif field.sources[0].guard is None:
                self._faults.warn(
                    "W504",
                    f"the field {field.name!r} is mapped before; where both give a value, this one counts",
                    start,
                    "say with `if` which records this one is for, or use oneof(a, b)",
                    len(field.name),
                )
            found[field.name] = Field(**{**before.__dict__, "sources": before.sources + field.sources})
        return found

    def _field(self, row: DraftField) -> Field | None:
        before = len(self._faults.found)
        for what, given in (("field", row.name), ("from", row.source)):
            if given is None and what not in row.explained:
                self._faults.add("E404", f"{what!r} is missing", row.start)
        name = self._name(row.name)
        source = self._expression(row.source)
        guard = self._condition(row.guard)
        kind = self._kind(row.kind) if row.kind else default_kind(source.node) if source else None
        pii = self._pii(row.pii)
        merge_text = row.merge.text if row.merge else "default"
        capacity = self._capacity(row, kind, merge_text)
        if kind is None or source is None:
            if merge_text.lower() != "default":
                self._checked(lambda: check_merge(kind, merge_named(merge_text, kind), merge_text), None, row.merge)
            return None
        merge = default_merge(source.node, kind) if merge_text.lower() == "default" else merge_named(merge_text, kind)
        self._checked(lambda: check_field(source.node, kind, merge, merge_text), row.source, row.merge)
        if name is None or len(self._faults.found) > before:
            return None
        return Field(
            name=name,
            sources=(Source(source, guard),),
            kind=kind,
            merge=merge,
            label=row.label.text if row.label else "",
            pii=pii,
            capacity=default_capacity(source.node, kind) if capacity is None else capacity or None,
            description=row.description.text if row.description else "",
        )

    def _name(self, placed: Placed | None) -> str | None:
        if placed is None:
            return None
        name = placed.text
        if self._of_event:
            if path_of(name) is None:
                hint = "for example user_properties.plan, or events[0].data"
                self._faults.add("E409", f"{name!r} is no place in an event", placed.start, hint, max(1, len(name)))
                return None
            return name
        if not name or name.startswith("_") or name.lower() in _RESERVED:
            self._faults.add("E409", f"{name!r} is reserved; a field's name may not start with '_' either", placed.start, width=len(name))
            return None
        return name

    def _kind(self, placed: Placed) -> Kind | None:
        kind = kind_named(placed.text, of_event=self._of_event)
        if kind is None:
            known = KINDS | EVENT_KINDS if self._of_event else KINDS
            hint = kind_hint(placed.text) or nearest(placed.text, known) or "known kinds: " + ", ".join(known)
            self._faults.add("E302", f"there is no kind {placed.text!r}", placed.start, hint, len(placed.text))
        return kind

    def _pii(self, placed: Placed | None) -> bool:
        found = truth_of(placed.text) if placed else False
        if found is None and placed:
            self._faults.add("E405", "'pii' is true or false", placed.start, width=placed.width)
        return bool(found)

    def _capacity(self, row: DraftField, kind: Kind | None, merge: str) -> int | None:
        """The capacity as written; 0 is none at all, None that nothing is said."""
        placed = row.capacity
        if placed is None:
            if merge.lower() == "capped" and row.merge:
                self._faults.add("E405", "'capped' needs a capacity", row.merge.start, "for example capacity: 100", len(merge))
            return None
        if not placed.text.isascii() or not placed.text.isdigit():
            self._faults.add("E405", "'capacity' is a whole number", placed.start, "0 keeps everything", placed.width)
            return None
        if kind is not None and not kind.is_map and not kind.is_list:
            self._faults.add("E405", f"'capacity' is for maps and lists, not for {kind.name}", placed.start, width=len(placed.text))
            return None
        return int(placed.text)

    def _identifiers(self, fields: dict[str, Field]) -> tuple[str, ...]:
        for placed in self._draft.by:
            name = placed.text
            if name not in fields and not self._faults.found:
                self._faults.add(
                    "E407", f"the identifier {name!r} is not a field of this mapping", placed.start, nearest(name, fields), len(name)
                )
            elif name in fields and (fields[name].kind.is_map or fields[name].kind.is_list):
                self._faults.add(
                    "E407",
                    f"the identifier {name!r} is {_shape(fields[name].kind)}; identifiers are scalars",
                    placed.start,
                    width=len(name),
                )
        return tuple(placed.text for placed in self._draft.by)

    def _check_bases(self) -> None:
        for base in self._bases:
            if base.gives_events != self._of_event:
                what = "events" if base.gives_events else "fields of profiles"
                placed = next((one for one in self._draft.extends if one.text == base.name), self._draft.extends[0])
                self._faults.add("E416", f"{base.name} gives {what}, which this mapping does not", placed.start, width=len(placed.text))

    def _check_event(self, fields: dict[str, Field]) -> None:
        """An event is made of one record, so nothing in it is merged; and its fields must have room beside each other."""
        for_profiles = [("by", placed) for placed in self._draft.by[:1]]
        for_profiles += [("key", self._draft.key)] if self._draft.key else []
        for row in self._draft.fields:
            given = (("merge", row.merge), ("capacity", row.capacity), ("pii", row.pii))
            for_profiles += [(what, placed) for what, placed in given if placed]
        for what, placed in for_profiles:
            hint = "leave it out: a record gives an event of its own"
            self._faults.add("E416", f"{what!r} is about profiles, and this mapping gives events", placed.start, hint, len(placed.text))
        if self._faults.found:
            return
        found = contradiction((path, field.kind.is_map) for name, field in fields.items() if (path := path_of(name)))
        if found is not None:
            path, why = found
            name = next((row.name for row in self._draft.fields if row.name and path_of(row.name.text) == path), None)
            self._faults.add("E406", f"there is no room for {written(path)}: {why}", name.start if name else None, width=len(written(path)))

    def _time(self) -> Expression | None:
        found = self._expression(self._draft.time)
        if found is not None:
            self._checked(lambda: check_field(found.node, KINDS["date"], "latest", "latest"), self._draft.time)
        return found

    def _condition(self, placed: Placed | None) -> Expression | None:
        found = self._expression(placed)
        if found is not None:
            self._checked(lambda: check_condition(found.node), placed)
        return found

    def _expression(self, placed: Placed | None) -> Expression | None:
        if placed is None:
            return None
        try:
            node = parse(placed.text)
        except ExpressionError as error:
            self._faults.add_in(placed, error)
            return None
        found = list(faults_in(node))
        for fault in found:
            self._faults.add_in(placed, fault)
        return None if found else Expression(placed.text, node)

    def _checked(self, action: Callable[[], None], placed: Placed | None, merge: Placed | None = None) -> None:
        try:
            action()
        except ExpressionError as error:
            if merge is not None and error.code in ("E303", "E304"):
                self._faults.add(error.code, error.message, merge.start, error.hint, merge.width)
            elif placed is not None:
                self._faults.add_in(placed, error)


def _shape(kind: Kind) -> str:
    return "a map" if kind.is_map else "a list"
