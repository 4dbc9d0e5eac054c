"""Mapping files to the model, with every fault of a file at once, each with its place. YAML, or LQL by its suffix."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from etl.errors import ConfigurationError, MappingError
from etl.mapping.assemble import assemble
from etl.mapping.draft import Draft, Faults, Placed
from etl.mapping.lql import read_statement
from etl.mapping.messages import nearest
from etl.mapping.model import Mapping
from etl.mapping.yaml_document import read_document
from etl.settings import packaged_mappings

SUFFIXES = (".yaml", ".yml", ".lql")
SHIPPED = "shipped:"


def find_mapping(name: str, folders: Sequence[Path], without: Container[Path] = ()) -> Path:
    """The file of a mapping: `name` as a path, else `<name>.yaml` or `<name>.lql` in the first folder that has it, files of
    `without` (absolute paths) passed over; `shipped:<name>` is the one that comes with Profilemill. Raises ConfigurationError."""
    if name.startswith(SHIPPED):
        name, folders = name.removeprefix(SHIPPED), [packaged_mappings()]
    direct = Path(name)
    if direct.suffix in SUFFIXES and direct.is_file() and _absolute(direct) not in without:
        return direct
    for folder in folders:
        found = [path for path in _named(name, folder) if _absolute(path) not in without]
        if len(found) > 1:
            raise ConfigurationError(
                f"two files are the mapping {name!r}",
                value=", ".join(str(path) for path in found),
                next_step="remove one of them, or give it another name",
            )
        if found:
            return found[0]
    known = sorted({path.stem for folder in folders for path in mapping_files(folder)})
    raise ConfigurationError(
        f"there is no mapping {name!r}",
        where={"looked in": ", ".join(str(folder) for folder in folders)},
        next_step=nearest(name, known) or f"known mappings: {', '.join(known)}",
    )


def mapping_files(folder: Path) -> list[Path]:
    """The mappings of a folder, without their tests, by name."""
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    return [path for path in files if path.suffix in SUFFIXES and not path.stem.endswith(".test")]


def load_mapping(name: str, folders: Sequence[Path], *, then: str = "run this again") -> Mapping:
    """A checked mapping. Raises MappingError with all faults of the file, ConfigurationError when there is no file; `then` is
    what their message says to do once the file is corrected."""
    return _load(find_mapping(name, folders), folders, (), then)


def refusal(mapping: Mapping, code: str, message: str, part: str | None = None, hint: str | None = None) -> MappingError:
    """That a mapping without faults will not do where it is used; `part` (`stream`) is what of its file is at fault."""
    assert mapping.path is not None
    text = mapping.path.read_text(encoding="utf-8-sig")
    faults = Faults(mapping.path.name, text)
    placed = getattr(read_draft(mapping.path, text, faults), part) if part else None
    faults.add(code, message, placed.start if placed else None, hint, placed.width if placed else 1)
    return MappingError(faults_of(mapping.path, faults), next_step=f"correct {mapping.path} and run `profilemill check`")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps `..`, and a link is not to be followed)


def _named(name: str, folder: Path) -> Iterator[Path]:
    return (path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file())


def _load(path: Path, folders: Sequence[Path], above: tuple[Path, ...], then: str) -> Mapping:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"cannot read the mapping: {error}", where={"file": path}) from error
    faults = Faults(path.name, text)
    draft = read_draft(path, text, faults)
    bases = [base for placed in draft.extends if (base := _base(placed, folders, (*above, _absolute(path)), faults, then))]
    mapping = assemble(draft, bases, faults, path)
    if mapping is None:
        raise MappingError(faults_of(path, faults), next_step=f"correct {path} and {then}")
    return mapping


def read_draft(path: Path, text: str, faults: Faults) -> Draft:
    """What the file says, unchecked."""
    return read_statement(text, faults) if path.suffix == ".lql" else read_document(text, faults)


def faults_of(path: Path, faults: Faults) -> str:
    """All faults of a file as one text."""
    found = faults.sorted()
    count = "a fault" if len(found) == 1 else f"{len(found)} faults"
    return f"the mapping {path.name} has {count}\n" + "\n".join(fault.render() for fault in found)


def _base(placed: Placed, folders: Sequence[Path], chain: tuple[Path, ...], faults: Faults, then: str) -> Mapping | None:
    """The mapping that the last of `chain` extends. Files of the chain are passed over, so that a file that takes the place
    of a shipped one can extend it."""
    nearer = [chain[-1].parent, *folders]
    try:
        return _load(find_mapping(placed.text, nearer, chain), folders, chain, then)
    except MappingError:
        raise
    except ConfigurationError as error:
        message, hint = error.what, error.next_step
    try:
        again = find_mapping(placed.text, nearer)
    except ConfigurationError:
        faults.add("E408", message, placed.start, hint, placed.width)
    else:
        circle = " -> ".join(path.name for path in (*chain[chain.index(_absolute(again)) :], again))
        faults.add("E408", f"mappings extend each other in a circle: {circle}", placed.start, width=placed.width)
    return None
