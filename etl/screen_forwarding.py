"""What people see of forwarding: what a run did, what it would do, where a job stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from etl.pipeline.forwarding_status import ForwardingStatus
from etl.reports import ForwardingReport
from etl.screen import out, visible

_MOST_NAMED = 5


def show(report: ForwardingReport) -> None:
    """What a forwarding did, a line per fact that is not zero."""
    out.print(f"[bold]{escape(report.job)}[/]")
    for label, files in (("done", report.files), ("not done", report.open), ("known content", report.repeated)):
        if files:
            more = f" and {len(files) - _MOST_NAMED:,} more" if len(files) > _MOST_NAMED else ""
            out.print(f"  {label:<14} {len(files):>9,}  {escape(', '.join(files[:_MOST_NAMED]))}{more}")
    if not (report.files or report.open or report.repeated or report.failed):
        out.print("  nothing to send: the inbox holds no new file")
    counts = {
        "lines": report.lines,
        "events": report.events,
        "sent now": report.acknowledged,
        "sent before": report.before,
        "duplicates": report.duplicates,
        "rejects": report.rejects,
    }
    for label, count in counts.items():
        if count:
            out.print(f"  {label:<14} {count:>9,}")
    for label, found in (
        ("rejected", report.reasons),
        ("skipped", report.skipped),
        ("left", report.waiting),
        ("unreadable", report.misfits),
    ):
        shown = sorted(((why, count) for why, count in found.items() if count), key=lambda pair: -pair[1])
        if len(shown) > _MOST_NAMED + 1:
            shown[_MOST_NAMED:] = [(f"others ({len(shown) - _MOST_NAMED:,})", sum(count for _, count in shown[_MOST_NAMED:]))]
        for why, count in shown:
            out.print(f"  {label:<14} {count:>9,}  {escape(visible(why))}")
    _show_changed(report.changed)
    for name, text in report.failed.items():
        indented = text.replace("\n", "\n    ")
        out.print(f"  [red]failed[/] {escape(name)}\n    {escape(indented)}")


def _show_changed(files: Sequence[str]) -> None:
    if files:
        names = escape(", ".join(files[:_MOST_NAMED])) + (" .." if len(files) > _MOST_NAMED else "")
        out.print(f"  [yellow]changed[/]        {len(files):>9,}  {names}")
        out.print("    written anew after they were sent, and not read again: put new events under a new name")


def show_plan(name: str, planned: Sequence[dict[str, Any]]) -> None:
    """The files that a run would send."""
    out.print(f"{name}: {len(planned)} file{'' if len(planned) == 1 else 's'}", markup=False)
    for one in planned:
        settled = f", {one['settled']:,} events settled already" if one["settled"] else ""
        out.print(f"  {one['name']}, {one['size']:,} bytes{settled}", markup=False)


def show_job(job: ForwardingStatus) -> None:
    """Where a job stands."""
    out.print(f"[bold]{escape(job.job)}[/] ({escape(job.source)} to {escape(job.destination)})")
    newest = f", the newest {escape(job.newest)}" if job.newest else ""
    out.print(f"  {job.files:,} files sent{newest}; {job.pending:,} waiting in the inbox")
    if job.files:
        counts = [(job.acknowledged, "events sent"), (job.rejects, "rejects"), (job.duplicates, "duplicates"), (job.left_out, "skipped")]
        out.print("  " + ", ".join(f"{count:,} {label}" for count, label in counts if count or label in ("events sent", "rejects")))
    for sender, until in job.quotas.items():
        out.print(f"  {escape(sender)} has used up its daily quota until {until}")
    _show_changed(job.changed)
    if job.fault:
        out.print(f"  [red]{escape(job.fault)}[/]")
