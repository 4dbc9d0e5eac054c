"""Mapping files to the model, with every fault of a file at once, each with its place. YAML, or LQL by its suffix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from etl.errors import ConfigurationError, MappingError
from etl.mapping.assemble import assemble
from etl.mapping.draft import Draft, DraftField, Faults, Placed
from etl.mapping.lql import read_statement
from etl.mapping.messages import nearest
from etl.mapping.model import Mapping

_TOP = ("stream", "into", "time", "key", "by", "where", "fields", "extends")
_ROW = ("field", "from", "if", "kind", "label", "description", "merge", "pii", "capacity")
_SUFFIXES = (".yaml", ".yml", ".lql")


def find_mapping(name: str, folders: Sequence[Path]) -> Path:
    """The file of a mapping: `name` as a path, else `<name>.yaml` or `<name>.lql` in the first folder that has it."""
    direct = Path(name)
    if direct.suffix in _SUFFIXES and direct.is_file():
        return direct
    for folder in folders:
        for suffix in _SUFFIXES:
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    found = {path.stem for folder in folders for suffix in _SUFFIXES for path in folder.glob(f"*{suffix}")}
    known = sorted(stem for stem in found if not stem.endswith(".test"))
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
    faults = Faults(path.name, text)
    draft = read_draft(path, text, faults)
    bases = [base for placed in draft.extends if (base := _base(placed, path, folders, (*above, path), faults))]
    mapping = assemble(draft, bases, faults, path)
    if mapping is None:
        raise MappingError(faults_of(path, faults), next_step=f"correct {path} and run `profilemill check`")
    return mapping


def read_draft(path: Path, text: str, faults: Faults) -> Draft:
    """What the file says, unchecked."""
    return read_statement(text, faults) if path.suffix == ".lql" else _Reader(text, faults).draft()


def faults_of(path: Path, faults: Faults) -> str:
    """All faults of a file as one text."""
    found = faults.sorted()
    count = "a fault" if len(found) == 1 else f"{len(found)} faults"
    return f"the mapping {path.name} has {count}\n" + "\n".join(fault.render() for fault in found)


def _base(placed: Placed, path: Path, folders: Sequence[Path], chain: tuple[Path, ...], faults: Faults) -> Mapping | None:
    try:
        return _load(find_mapping(placed.text, [path.parent, *folders]), folders, chain)
    except MappingError:
        raise
    except ConfigurationError as error:
        faults.add("E408", error.what, placed.start, error.next_step, len(placed.text))
        return None


class _Reader:
    """A YAML document to a draft."""

    def __init__(self, text: str, faults: Faults) -> None:
        self._text, self._faults = text, faults

    def draft(self) -> Draft:
        root = self._composed()
        readable = not self._faults.found
        top = self._members(root, _TOP, "a mapping document") if readable else {}
        return Draft(
            stream=self._scalar(top.get("stream")),
            into=self._scalar(top.get("into")),
            time=self._scalar(top.get("time")),
            key=self._scalar(top.get("key")),
            where=self._scalar(top.get("where")),
            by=self._scalars(top.get("by")),
            extends=self._scalars(top.get("extends")),
            fields=[self._field(row) for row in self._items(top.get("fields"))],
        )

    def _composed(self) -> yaml.Node | None:
        try:
            return yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._faults.add("E401", f"this is not YAML: {error.problem or error.context}", mark.index if mark else None)
        except yaml.YAMLError as error:
            self._faults.add("E401", f"this is not YAML: {error}", None)
        return None

    def _field(self, row: yaml.Node) -> DraftField:
        members = self._members(row, _ROW, "a field")
        if members and "kind" not in members:
            self._faults.add("E404", "'kind' is missing", row.start_mark.index)
        return DraftField(
            start=row.start_mark.index,
            name=self._scalar(members.get("field")),
            source=self._scalar(members.get("from")),
            guard=self._scalar(members.get("if")),
            kind=self._scalar(members.get("kind")),
            merge=self._scalar(members.get("merge")),
            label=self._scalar(members.get("label")),
            description=self._scalar(members.get("description")),
            pii=self._scalar(members.get("pii")),
            capacity=self._scalar(members.get("capacity")),
        )

    def _members(self, node: yaml.Node | None, known: Iterable[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            place = node.start_mark.index if node else None
            self._faults.add("E405", f"{what} is expected here, with keys {', '.join(known)}", place)
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in known:
                hint = nearest(name, known) or f"known keys: {', '.join(known)}"
                self._faults.add("E403", f"unknown key {name!r} in {what}", key.start_mark.index, hint, len(name))
            elif name in found:
                self._faults.add("E402", f"the key {name!r} stands twice in {what}", key.start_mark.index)
            else:
                found[name] = value
        return found

    def _items(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._faults.add("E405", "a list is expected here", node.start_mark.index)
        return []

    def _scalars(self, node: yaml.Node | None) -> list[Placed]:
        return [placed for item in self._items(node) if (placed := self._scalar(item))]

    def _scalar(self, node: yaml.Node | None) -> Placed | None:
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode):
            return Placed(str(node.value), node.start_mark.index + (1 if node.style in ("'", '"') else 0))
        self._faults.add("E405", "a single text is expected here", node.start_mark.index)
        return None
