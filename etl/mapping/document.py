"""Mapping documents (YAML) to the model, with every fault of a file at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from etl.errors import ConfigurationError, MappingError
from etl.mapping.check import check_expression, check_field
from etl.mapping.kinds import KINDS
from etl.mapping.messages import ExpressionError, Fault, nearest
from etl.mapping.model import Expression, Field, Mapping, default_capacity, default_merge
from etl.mapping.parser import parse

_TOP = ("stream", "time", "key", "by", "fields", "extends")
_ROW = ("field", "from", "kind", "label", "merge", "pii", "capacity")


def find_mapping(name: str, folders: Sequence[Path]) -> Path:
    """The file of a mapping: `name` as a path, else `<name>.yaml` in the first folder that has it."""
    direct = Path(name)
    if direct.suffix in (".yaml", ".yml") and direct.is_file():
        return direct
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml") if not path.stem.endswith(".test")})
    raise ConfigurationError(
        f"there is no mapping {name!r}",
        where={"looked in": ", ".join(str(folder) for folder in folders)},
        next_step=nearest(name, known) or f"known mappings: {', '.join(known)}",
    )


def load_mapping(name: str, folders: Sequence[Path]) -> Mapping:
    """A checked mapping. Raises MappingError with all faults of the file, ConfigurationError when there is no file."""
    return _load(find_mapping(name, folders), folders, ())


def _load(path: Path, folders: Sequence[Path], above: tuple[Path, ...]) -> Mapping:
    if path in above:
        raise MappingError("mappings extend each other in a circle", where={"files": " -> ".join(p.name for p in (*above, path))})
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"cannot read the mapping: {error}", where={"file": path}) from error
    return _Reader(path, text, folders, (*above, path)).mapping()


class _Reader:
    def __init__(self, path: Path, text: str, folders: Sequence[Path], chain: tuple[Path, ...]) -> None:
        self._path, self._lines, self._text = path, text.split("\n"), text
        self._folders, self._chain = folders, chain
        self._faults: list[Fault] = []

    def mapping(self) -> Mapping:
        try:
            root = yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._fault("E401", f"this is not YAML: {error.problem or error.context}", mark)
            raise self._error() from error
        except yaml.YAMLError as error:
            self._fault("E401", f"this is not YAML: {error}", None)
            raise self._error() from error
        top = self._members(root, _TOP, "a mapping document")
        found = self._assemble(top)
        if self._faults or found is None:
            raise self._error()
        return found

    def _assemble(self, top: dict[str, yaml.Node]) -> Mapping | None:
        bases = [self._base(node) for node in self._items(top.get("extends"))]
        base = next((b for b in bases if b is not None), None)
        own = [field for row in self._items(top.get("fields")) if (field := self._field(row))]
        fields: dict[str, Field] = {field.name: field for b in bases if b for field in b.fields}
        rows = self._items(top.get("fields"))
        for field in own:
            if field.name in fields:
                self._fault("E406", f"the field {field.name!r} is mapped twice", rows[own.index(field)].start_mark)
            fields[field.name] = field
        stream = self._scalar(top.get("stream")) or (base and base.stream)
        if not stream:
            self._fault("E404", "'stream' is missing: the name of the records that this mapping reads", None)
        if not fields and not self._faults:
            self._fault("E404", "'fields' is missing: there is nothing to map", None)
        by = tuple(text for node in self._items(top.get("by")) if (text := self._scalar(node))) or (base.by if base else ())
        for node in self._items(top.get("by")):
            name = self._scalar(node)
            if name and name not in fields and not self._faults:
                self._fault(
                    "E407",
                    f"the identifier {name!r} is not a field of this mapping",
                    node.start_mark,
                    nearest(name, fields),
                )
            elif name and name in fields and fields[name].kind.is_map:
                self._fault("E407", f"the identifier {name!r} is a map; identifiers are scalars", node.start_mark)
        time = self._expression(top["time"]) if "time" in top else base.time if base else None
        key = self._expression(top["key"]) if "key" in top else base.key if base else None
        if time is not None and not self._faults:
            self._check(lambda: check_field(time.node, KINDS["date"], "latest"), top.get("time"))
        return Mapping(self._path.stem, str(stream), tuple(fields.values()), by, time, key, self._path)

    def _base(self, node: yaml.Node) -> Mapping | None:
        name = self._scalar(node)
        if name is None:
            return None
        try:
            return _load(find_mapping(name, [self._path.parent, *self._folders]), self._folders, self._chain)
        except MappingError:
            raise
        except ConfigurationError as error:
            self._fault("E408", error.what, node.start_mark, error.next_step)
            return None

    def _field(self, row: yaml.Node) -> Field | None:
        before = len(self._faults)
        members = self._members(row, _ROW, "a field")
        for needed in ("field", "from", "kind"):
            if needed not in members and isinstance(row, yaml.MappingNode):
                self._fault("E404", f"{needed!r} is missing", row.start_mark)
        name, kind_name = self._scalar(members.get("field")), self._scalar(members.get("kind"))
        if name is not None and (
            not name or name.startswith("_") or name in ("profile_id", "first_seen", "last_seen", "load", "date", "bucket")
        ):
            self._fault(
                "E409",
                f"{name!r} is reserved; a field's name may not start with '_' either",
                members["field"].start_mark,
            )
        kind = KINDS.get(kind_name or "")
        if kind_name is not None and kind is None:
            self._fault(
                "E302",
                f"there is no kind {kind_name!r}",
                members["kind"].start_mark,
                nearest(kind_name, KINDS) or "known kinds: " + ", ".join(KINDS),
            )
        source = self._expression(members["from"]) if "from" in members else None
        if name is None or kind is None or source is None or len(self._faults) > before:
            return None
        merge = self._scalar(members.get("merge")) or default_merge(kind)
        self._check(lambda: check_field(source.node, kind, merge), members["from"], merge_node=members.get("merge"))
        capacity = self._capacity(members.get("capacity"))
        field = Field(
            name,
            source,
            kind,
            merge,
            self._scalar(members.get("label")) or "",
            self._scalar(members.get("pii")) == "true",
            None,
        )
        return replace(field, capacity=capacity if capacity is not None else default_capacity(source.node, kind))

    def _capacity(self, node: yaml.Node | None) -> int | None:
        text = self._scalar(node)
        if text is None or node is None:
            return None
        if not text.isdigit() or int(text) < 1:
            self._fault("E405", "'capacity' is a whole number above 0", node.start_mark)
            return None
        return int(text)

    def _expression(self, node: yaml.Node) -> Expression | None:
        text = self._scalar(node)
        if text is None:
            return None
        found: list[Expression] = []

        def read() -> None:
            tree = parse(text)
            check_expression(tree)
            found.append(Expression(text, tree))

        self._check(read, node)
        return found[0] if found else None

    def _check(self, action: object, node: yaml.Node | None, merge_node: yaml.Node | None = None) -> None:
        try:
            action()  # type: ignore[operator]
        except ExpressionError as error:
            place = merge_node if merge_node is not None and error.code in ("E303", "E304") else node
            mark = place.start_mark if place is not None else None
            quoted = isinstance(place, yaml.ScalarNode) and place.style in ("'", '"')
            offset = error.start + (1 if quoted else 0) if place is node else 0
            self._fault(error.code, error.message, mark, error.hint, offset=offset, width=error.end - error.start)

    def _members(self, node: yaml.Node | None, known: Iterable[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fault("E405", f"{what} is expected here, with keys {', '.join(known)}", node.start_mark if node else None)
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in known:
                self._fault(
                    "E403",
                    f"unknown key {name!r} in {what}",
                    key.start_mark,
                    nearest(name, known) or f"known keys: {', '.join(known)}",
                    width=len(name),
                )
            elif name in found:
                self._fault("E402", f"the key {name!r} stands twice in {what}", key.start_mark)
            else:
                found[name] = value
        return found

    def _items(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._fault("E405", "a list is expected here", node.start_mark)
        return []

    def _scalar(self, node: yaml.Node | None) -> str | None:
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._fault("E405", "a single text is expected here", node.start_mark)
        return None

    def _fault(
        self,
        code: str,
        message: str,
        mark: yaml.Mark | None,
        hint: str | None = None,
        *,
        offset: int = 0,
        width: int = 1,
    ) -> None:
        line, column = (mark.line, mark.column + offset) if mark else (0, 0)
        source = self._lines[line] if line < len(self._lines) else ""
        fault = Fault(code, message, self._path.name, line + 1, column + 1, source.rstrip("\r"), width, hint)
        if fault not in self._faults:
            self._faults.append(fault)

    def _error(self) -> MappingError:
        faults = sorted(self._faults, key=lambda fault: (fault.line, fault.column))
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        return MappingError(
            f"the mapping {self._path.name} has {count}\n" + "\n".join(fault.render() for fault in faults),
            next_step=f"correct {self._path} and run `profilemill check`",
        )
