"""Everything that can be wrong before a run, looked at without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from etl.engines import kernel
from etl.errors import ConfigurationError, MappingError, ProfilemillError
from etl.jobs import CohortsJob, ImportJob
from etl.mapping import Mapping
from etl.pipeline.check_forwarding import inbox_note, keys_to_try
from etl.pipeline.check_mappings import check_stored, is_shipped, landed_warnings, unused_files, where_from
from etl.pipeline.forwarding import check_forwarding
from etl.pipeline.project import Project
from etl.pipeline.suppression import suppression_warning
from etl.profiles.fields import merged_fields, namespaces, of_mapping


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `error` is None when it is in order. `warnings` are likely mistakes, which stop nothing."""

    subject: str
    error: str | None = None
    note: str = ""
    warnings: tuple[str, ...] = ()


def check(project: Project, *, online: bool = True) -> list[Finding]:
    """Looks at the mappings, the fields of all jobs together, the lake, and (`online`) keys and buckets."""
    findings = [Finding(f"jobs file {project.path.name}", note=f"{len(project.jobs.jobs)} jobs")]
    mappings: dict[str, Mapping] = {}
    for name, job in project.jobs.imports.items():
        try:
            mappings[name] = project.mapping(job)
            if isinstance(job, CohortsJob):
                _check_exit_fields(name, job, mappings[name])
            check_stored(project, job, mappings[name])
            findings.append(_mapped(project, f"mapping {job.mapping_name} of {name}", mappings[name]))
        except ProfilemillError as error:
            findings.append(Finding(f"mapping {job.mapping_name} of {name}", str(error)))
    unused = unused_files(project, mappings.values())
    findings += [Finding(f"mapping file {path}", note=note, warnings=wrong) for path, note, wrong in unused]
    for name, forwarding in project.jobs.forwardings.items():
        findings.append(_tried(f"forwarding {name}", partial(check_forwarding, project, name)))
        if online or "://" not in forwarding.inbox:
            findings.append(_tried(f"inbox {forwarding.inbox} of {name}", partial(inbox_note, project, name, forwarding)))
    findings.append(_tried("fields of all jobs", lambda: _check_together(list(mappings.values()))))
    findings.append(_tried(f"lake {project.lake.root}", project.lake.ensure_writable))
    findings += _forgotten(project)
    if not kernel.is_built():
        slow = "imports take longer: install a C compiler (or the package ziglang) and install profilemill again"
        findings.append(Finding("kernel for JSON lines", note="not built", warnings=(slow,)))
    used = {job.authorization: job for job in project.jobs.imports.values()}
    for authorization, job in used.items() if online else ():
        findings.append(_tried(f"authorization {authorization}", partial(_listed, project, job)))
    findings += [_tried(subject, action) for subject, action in keys_to_try(project)] if online else []
    return findings


def _forgotten(project: Project) -> list[Finding]:
    """Whether people who were forgotten are still known; a fault of a mapping is told of where it is."""
    try:
        warning = suppression_warning(project)
    except MappingError:
        return []
    except ProfilemillError as error:
        return [Finding("people who were forgotten", str(error))]
    return [] if warning is None else [Finding("people who were forgotten", note="1 warning", warnings=(warning,))]


def _mapped(project: Project, subject: str, mapping: Mapping) -> Finding:
    # What comes with Profilemill is not for its user to mend.
    warnings = [] if is_shipped(mapping) else [warning.render() for warning in mapping.warnings]
    warnings += landed_warnings(project, mapping)
    count = f", {len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else ""
    return Finding(subject, note=f"{len(mapping.fields)} fields, {where_from(project, mapping)}{count}", warnings=tuple(warnings))


def _tried(subject: str, action: Callable[[], object]) -> Finding:
    try:
        found = action()
    except ProfilemillError as error:
        return Finding(subject, str(error))
    return Finding(subject, note=found if isinstance(found, str) else "")


def _listed(project: Project, job: ImportJob) -> str:
    return f"{len(project.client(job).list_cohorts())} cohorts listed"


def _check_together(mappings: list[Mapping]) -> None:
    streams = {mapping.stream: of_mapping(mapping) for mapping in mappings}
    merged_fields(list(streams.values()))
    namespaces(list(streams.values()))


def _check_exit_fields(name: str, job: CohortsJob, mapping: Mapping) -> None:
    """The two options name fields of the mapping, or are blank."""
    for option, field in (
        ("amplitude_id_field", job.amplitude_id_field),
        ("cohort_names_field", job.cohort_names_field),
    ):
        if field and field not in {known.name for known in mapping.fields}:
            raise ConfigurationError(
                f"{option} names {field!r}, which is no field of the mapping {mapping.name}",
                where={"job": name},
                next_step="name a field, or leave it blank: cohorts are then only added",
            )
