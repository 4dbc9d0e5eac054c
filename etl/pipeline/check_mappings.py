"""What can be said of a job's mapping by what is on disk: its files, what is stored, and what has landed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError
from etl.faults import Fault, nearest
from etl.jobs import ImportJob
from etl.mapping import MISSING, Mapping, evaluate, find_mapping, load_mapping, mapping_files
from etl.mapping.document import read_draft
from etl.mapping.draft import Faults
from etl.mapping.model import Expression
from etl.mapping.tree import names_in
from etl.mapping.write import write_key
from etl.pipeline.forwarding import mapping_name_of
from etl.pipeline.mapping_diff import newest_records
from etl.pipeline.project import Project
from etl.profiles.fields import incompatible, of_mapping, stream_fields
from etl.settings import packaged_mappings

_LOOKED_AT = 200


def where_from(project: Project, mapping: Mapping) -> str:
    """`shipped`, or the mapping's file as one would write it beside the jobs file."""
    assert mapping.path is not None
    if is_shipped(mapping):
        return "shipped"
    folder = project.path.parent
    return str(mapping.path.relative_to(folder) if mapping.path.is_relative_to(folder) else mapping.path)


def is_shipped(mapping: Mapping) -> bool:
    return mapping.path is not None and mapping.path.parent == packaged_mappings()


def unused_files(project: Project, mappings: Iterable[Mapping]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The mappings beside the jobs file that no job uses, each with a hint, and what is wrong in it."""
    used = {path for mapping in mappings for path in mapping.files} | set(_wanted(project))
    names = _names(project)
    for path in mapping_files(project.path.parent / "mappings"):
        if path not in used:
            hint = nearest(path.stem, names) or f"`mapping: {path.stem}` in a job would"
            wrong: tuple[str, ...]
            try:
                found = load_mapping(str(path), project.mapping_folders())
            except ConfigurationError as error:  # stops nothing as long as no job uses it
                note, wrong = "no job uses it, and it has faults", (error.what,)
            else:
                note, wrong = "no job uses it", tuple(warning.render() for warning in found.warnings)
            yield str(path.relative_to(project.path.parent)), f"{note}; {hint}", wrong


def _names(project: Project) -> set[str]:
    """The mappings that jobs use, by name."""
    imports = {job.mapping_name for job in project.jobs.imports.values()}
    return imports | {mapping_name_of(project, job) for job in project.jobs.forwardings.values()}


def _wanted(project: Project) -> Iterator[Path]:
    """The files that jobs name, also those with faults."""
    for name in _names(project):
        try:
            yield find_mapping(name, project.mapping_folders())
        except ConfigurationError:
            continue


def check_stored(project: Project, job: ImportJob, mapping: Mapping) -> None:
    """Raises ConfigurationError where what is stored cannot follow the mapping: imports stop until a rebuild."""
    if reasons := stopped(project, job, mapping):
        raise ConfigurationError(
            "imports stop: the mapping changed in a way that what is stored cannot follow",
            value="; ".join(reasons),
            next_step=f"run `profilemill rebuild --from landing --mapping {job.mapping_name}`, or undo the change",
        )


def stopped(project: Project, job: ImportJob, mapping: Mapping) -> list[str]:
    """Why imports of a job stop until its mapping's loads are mapped anew; empty where they do not."""
    before = stream_fields(project.lake).get(job.stream)
    return incompatible(before, of_mapping(mapping)) if before else []


def landed_warnings(project: Project, mapping: Mapping) -> Iterator[str]:
    """Keys of `time` and `key` that none of the newest landed records has."""
    parts = [(name, one) for name, one in (("time", mapping.time), ("key", mapping.key)) if one]
    if not parts or not project.lake.root.is_dir():
        return
    records = list(_newest(project, mapping.stream))
    for name, expression in parts if records else ():
        for missing in _missing(expression, records):
            yield _warning(mapping, name, expression, missing, records)


def _newest(project: Project, stream: str) -> Iterator[dict[str, Any]]:
    for text in newest_records(project.lake, stream, _LOOKED_AT).table.column("text").to_pylist():
        try:
            record = json.loads(text)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _missing(expression: Expression, records: list[dict[str, Any]]) -> Iterator[str]:
    for name in names_in(expression.node):
        if all(evaluate(write_key(name.parts), record) is MISSING for record in records):
            yield name.key


def _warning(mapping: Mapping, part: str, expression: Expression, missing: str, records: list[dict[str, Any]]) -> str:
    assert mapping.path is not None
    known = {key for record in records for key in record}
    message = f"none of the newest {len(records)} landed records has {missing!r}, which {part!r} reads"
    hint = nearest(missing, known) or f"keys there: {', '.join(sorted(known)[:12])}"
    text = mapping.path.read_text(encoding="utf-8-sig")
    faults = Faults(mapping.path.name, text)
    placed = getattr(read_draft(mapping.path, text, faults), part)
    if placed is None:  # a base says it
        return Fault("W511", f"{message}: {expression.text}", mapping.path.name, 1, 1, "", hint=hint).render()
    faults.warn("W511", message, placed.start, hint, placed.width)
    return faults.warnings[0].render()
