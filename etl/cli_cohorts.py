"""The command `profilemill cohorts`: what cohort imports cost, and what the next run asks for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli_options import JobsOption, JsonOption

if TYPE_CHECKING:
    from etl.pipeline.quota import JobQuota


EPILOG = "Example: profilemill cohorts shop-cohorts --json"


def cohorts(
    names: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Cohort jobs; else all.")] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each cohort, the month's requests, and what the next run asks for and why. Costs no quota."""
    from etl import screen
    from etl.jobs import find_jobs_file
    from etl.pipeline.project import open_project
    from etl.pipeline.quota import quota_of

    found = quota_of(open_project(find_jobs_file(jobs)), names or ())
    if as_json:
        screen.print_json([one.as_dict() for one in found])
        return
    if not found:
        screen.out.print("the jobs file has no cohort job")
    for one in found:
        _show(one)


def _show(quota: JobQuota) -> None:
    from rich.markup import escape
    from rich.table import Table

    from etl.screen import out

    used = "Amplitude does not tell how many requests are used"
    if quota.used is not None:
        used = f"{quota.used:,} of {'?' if quota.limit is None else f'{quota.limit:,}'} requests used this month"
    out.print(f"[bold]{escape(quota.job)}[/] ({escape(quota.authorization)}): {used}, counted anew {quota.resets_at:%Y-%m-%d}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("cohort", overflow="fold")
    table.add_column("id", overflow="fold")
    table.add_column("size", justify="right")
    for heading in ("last computed", "last loaded"):
        table.add_column(heading, no_wrap=True)
    table.add_column("next run")
    table.add_column("why", overflow="fold")
    for row in quota.cohorts:
        size = "" if row.size is None else f"{row.size:,}"
        shown = (escape(row.name), escape(row.id), size, _moment(row.last_computed), _moment(row.last_loaded))
        table.add_row(*shown, "" if row.action == "none" else row.action, escape(row.reason))
    out.print(table)
    after = "" if quota.left is None else f", {quota.left - quota.requests:,} are left after it"
    out.print(f"  the next run makes {quota.requests:,} request{'' if quota.requests == 1 else 's'}{after}")
    if quota.left is not None and quota.at_most > quota.left:
        out.print(
            f"  if every chosen cohort were computed anew each day, daily runs would ask for {quota.at_most:,} "
            f"until then and {quota.left:,} are left: choose fewer with `cohorts:`"
        )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
