"""What people see: progress on stderr, tables on stdout. Programs take `--json` instead."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from etl.reports import BuildReport, FieldCounts, ImportReport, LoadReport
from etl.screen_fields import show_table, show_troubled, show_unread

if TYPE_CHECKING:
    from etl.pipeline.project import Progress as Steps
    from etl.pipeline.status import JobStatus, Status
    from etl.profiles.published import Quarantined

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_MOST_NAMED = 5
# What moves the cursor, colours the screen or turns the direction of writing; line ends and tabs are left.
_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
_SECONDS_A_LINE = 10.0


def print_json(content: Any) -> None:
    """One JSON document on stdout."""
    out.print(json.dumps(content, ensure_ascii=False, indent=2, default=_json_default), markup=False)


def visible(text: str) -> str:
    """Text in which control characters are U+FFFD: what servers and files hold must not steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def print_error(text: str) -> None:
    err.print(f"[bold red]error:[/] {escape(visible(text))}")


@contextlib.contextmanager
def progress(title: str) -> Iterator[Steps]:
    """A bar while the block runs; on a stderr that is no terminal, a line per step, and of what is counted one every ten seconds."""
    from etl.pipeline.project import Progress as Steps  # only here: the libraries behind it take most of a command's start

    if not err.is_terminal:
        line = _SlowLine(title)
        yield Steps(on_text=lambda text: err.print(f"{title}: {text}", markup=False), on_count=line.show)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(escape(title), total=None)
        yield Steps(
            on_text=lambda text: bar.update(task, description=f"{escape(title)} · {escape(text)}"),
            on_steps=lambda done, total: bar.update(task, completed=done, total=total),
            on_count=lambda count: bar.update(task, description=f"{escape(title)} · {count:,} events sent"),
            on_bytes=lambda count: bar.update(task, description=f"{escape(title)} · {count / 1e6:.1f} MB received") if count else None,
        )


class _SlowLine:
    """Prints a count now and then, for logs: a request may take a tenth of a second."""

    def __init__(self, title: str) -> None:
        self._title, self._next = title, monotonic() + _SECONDS_A_LINE

    def show(self, count: int) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + _SECONDS_A_LINE
            err.print(f"{self._title}: {count:,} events sent", markup=False)


def show_import(report: ImportReport) -> None:
    """What an import did, a line per fact that is not zero."""
    out.print(f"[bold]{escape(report.job)}[/]")
    listed = [
        ("loaded", report.loaded), ("replaced", report.replaced), ("unchanged", report.unchanged), ("empty", report.empty),
        ("ready later", report.open), ("kept larger", report.shrunk),
    ]  # fmt: skip
    for label, loads in listed:
        if loads:
            shown = ", ".join(load.split("/", 1)[-1] for load in loads[:_MOST_NAMED])
            more = f" and {len(loads) - _MOST_NAMED:,} more" if len(loads) > _MOST_NAMED else ""
            out.print(f"  {label:<12} {len(loads):>9,}  {escape(shown)}{more}")
    for reason in dict.fromkeys(text.rsplit(": ", 1)[-1] for text in report.skipped):
        names = [text.rsplit(": ", 1)[0] for text in report.skipped if text.endswith(f": {reason}")]
        out.print(f"  {'skipped':<12} {len(names):>9,}  {escape(reason)}: {escape(', '.join(names[:_MOST_NAMED]))}")
    if not any(loads for _, loads in listed) and not report.failed and not report.skipped:
        out.print("  nothing to import")
    counts = {
        "records": report.rows,
        "duplicates": report.duplicates,
        "left out": report.filtered,
        "rejects": report.rejects,
        "unidentified": report.unidentified,
        "ahead of time": report.early,
        "exits": report.exits,
    }
    for label, count in counts.items():
        if count:
            out.print(f"  {label:<12} {count:>9,}")
    show_troubled(out, report.fields)
    for name, text in report.failed.items():
        indented = text.replace("\n", "\n    ")
        out.print(f"  [red]failed[/] {escape(name)}\n    {escape(indented)}")


def show_build(report: BuildReport) -> None:
    what = (
        f"{report.inserted:,} new, {report.updated:,} updated, {report.merged_away:,} merged away" if report.changed else "nothing changed"
    )
    out.print(f"[bold]profiles[/]\n  {'in total':<12} {report.profiles:>9,}  {what}")
    if report.conflicts:
        out.print(f"  {'conflicts':<12} {report.conflicts:>9,}  identifiers claimed by two people; see the table `conflicts`")
    if report.repeated_keys:
        out.print(f"  {'repeated':<12} {report.repeated_keys:>9,}  keys in more than one load; see the table `repeated` and `dedupe_days`")
    if report.quarantined:
        out.print(f"  {'quarantined':<12} {report.quarantined:>9,}  profiles with too many identifiers, left out of destinations")


def show_load(report: LoadReport) -> None:
    what = (
        f"{report.written:,} rows written" + (f", {report.deleted:,} deleted" if report.deleted else "")
        if report.written or report.deleted or report.full
        else "up to date"
    )
    what += f", {report.events:,} events written" if report.events else ""
    what += f", {report.memberships:,} cohort memberships written" if report.memberships else ""
    out.print(f"[bold]{escape(report.destination)}[/]  {what}  {escape(report.location)}")
    if report.replaced:
        out.print(f"  {report.replaced:,} values with NUL characters, each written as U+FFFD")
    if report.too_long:
        out.print(f"  {report.too_long:,} identifiers too long to be indexed, left out of the identifiers table")
    for old in report.left:
        out.print(f"  [yellow]an old version could not be removed, the next load tries again: {escape(old)}[/]")


def quarantine_text(key: str, found: Quarantined) -> str:
    """Why a profile is shown nowhere, and what to do."""
    return (
        f"whoever has {key} is in quarantine: the profile {found.profile_id} has {found.identifiers:,} identifiers, more than "
        f"max_identifiers ({found.allowed:,}), since {found.since.isoformat()}\n"
        f"  next: see what links them: profilemill identity explain {key}; where it is one person, raise max_identifiers in the jobs "
        "file; where a value that many share links them, leave it out in the mapping (`if`) and rebuild --from landing"
    )


def show_status(found: Status, *, every_field: bool = False) -> None:
    """A block per job (`every_field`: with a table of all its fields), then the profiles."""
    for job in found.jobs:
        _show_job(job, every_field)
    waiting = f", {found.waiting:,} loads wait for a build" if found.waiting else ""
    out.print(f"[bold]profiles[/] {found.profiles:,} (build {found.build}{waiting})")
    if found.quarantined:
        out.print(f"  {found.quarantined:,} more in quarantine: too many identifiers")
    if found.conflicts:
        out.print(f"  {found.conflicts:,} links not followed: identifiers that two people claim, in the table `conflicts`")
    if found.repeated_keys:
        out.print(f"  {found.repeated_keys:,} keys in more than one load, in the table `repeated`")
    if found.forgotten:
        out.print("  [yellow]" + escape(found.forgotten).replace("\n", "\n  ") + "[/]")
    out.print(f"[bold]lake[/] {escape(found.lake)}")


def _show_job(job: JobStatus, every_field: bool) -> None:
    out.print(f"[bold]{escape(job.job)}[/] ({job.stream})")
    if not job.loads:
        out.print("  nothing is loaded yet")
    elif not job.cohorts:
        missing = "" if job.missing is None else f", {job.missing:,} missing"
        out.print(f"  {job.loads:,} hours from {job.first} to {job.newest}, {job.empty:,} of them empty{missing}")
    counts = [
        (job.rows, "records"),
        (job.duplicates, "duplicates"),
        (job.rejects, "rejects"),
        (job.unidentified, "without an identifier"),
        (job.early, "more than a day ahead of their upload"),
    ]
    if job.loads:
        out.print("  " + ", ".join(f"{count:,} {label}" for count, label in counts if count or label in ("records", "rejects")))
    _show_details(job, every_field)


def _show_details(job: JobStatus, every_field: bool) -> None:
    for cohort in job.cohorts:
        left = f", {cohort['exits']:,} left" if cohort["exits"] else ""
        name = escape(f"{cohort['name']} ({cohort['id']})")
        out.print(f"  {name}: {cohort['members']:,} members{left}, computed {cohort['last_computed']}")
    if every_field:
        show_table(out, job.fields)
    else:
        show_troubled(out, job.fields)
    if job.stopped:
        command = f"`profilemill rebuild --from landing --mapping {job.mapping}`"
        out.print(f"  [red]imports stop[/] until {command}: {escape('; '.join(job.stopped))}")
    elif job.stale:
        out.print(
            f"  {job.stale:,} loads were mapped by an earlier version of the mapping: `profilemill rebuild --from landing` maps them again"
        )


def show_profile(profile: dict[str, Any], longest: int | None = None) -> None:
    """A profile as `field: value` lines, empty fields left out; values cut at `longest`."""
    for name, value in profile.items():
        if value is None:
            continue
        if isinstance(value, datetime):
            value = value.isoformat()
        text = json.dumps(value, ensure_ascii=False, default=_json_default) if not isinstance(value, str) else value
        if longest is not None and len(text) > longest:
            text = text[:longest] + " …"
        out.print(f"  {name:<32} {text}", markup=False)


def show_mapped(rows: list[dict[str, Any]]) -> None:
    """Mapped rows as JSON lines, missing fields left out."""
    for row in rows:
        out.print(
            json.dumps(
                {name: value for name, value in row.items() if value is not None},
                ensure_ascii=False,
                default=_json_default,
            ),
            markup=False,
        )


def show_unmapped(bad: list[int], fields: dict[str, FieldCounts]) -> None:
    """On stderr: the first lines that are no JSON object and how many there are, and what could not be read."""
    for line in bad[:_MOST_NAMED]:
        err.print(f"line {line} is not a JSON object", markup=False)
    if len(bad) > _MOST_NAMED:
        err.print(f"{len(bad):,} lines are not JSON objects", markup=False)
    show_unread(err, fields)


def show_sandbox(url: str, first: datetime | None, hours: int) -> None:
    """Where a sandbox listens, and what to write and to run with it; `first` is the first of its hours with events, if known."""
    out.print(f"sandbox Amplitude at {url} (API key: key, secret key: secret); Ctrl-C ends it", markup=False)
    out.print(f'in jobs.yaml: authorizations: {{shop: {{api_key: key, secret_key: secret, base_url: "{url}"}}}}', markup=False)
    if first:
        span = f"--from {first:%Y-%m-%dT%H} --to {first + timedelta(hours=hours):%Y-%m-%dT%H}"
        out.print(f"its events are of {hours} hours: profilemill run shop-events {span}", markup=False)
    out.file.flush()


def _json_default(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
