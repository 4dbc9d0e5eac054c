"""The command `profilemill forget`: removes people, and keeps them out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli_options import JobsOption, JsonOption
from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from etl.pipeline.forget import Forgotten

FAILED = 1
EPILOG = "Example: profilemill forget amplitude_user_id=u-1042 --dry-run"


def forget(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Identifiers, or profile_id=...; - reads them from stdin, one a line.")
    ],
    jobs: JobsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be removed, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove people from the lake and every destination, and keep them out of later imports.

    Each KEY=VALUE stands for the whole person: every identifier of the profile that has it goes too.
    """
    from etl import screen
    from etl.jobs import find_jobs_file
    from etl.pipeline.forget import forget as remove
    from etl.pipeline.project import open_project

    lines = [line.strip() for line in sys.stdin] if keys == ["-"] else keys
    pairs = [_pair(line) for line in lines if line]
    if not pairs:
        raise ConfigurationError("nobody is named", next_step="write KEY=VALUE, for example amplitude_user_id=u-1042")
    with screen.progress("forget") as steps:
        found = remove(open_project(find_jobs_file(jobs)), pairs, dry_run=dry_run, on_step=steps.on_text)
    if as_json:
        screen.print_json(found.as_dict())
    else:
        _show(found)
    if found.failed or found.forwarded.failed:
        raise typer.Exit(FAILED)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        # Not the text itself: it may be an identifier.
        raise ConfigurationError("write each identifier as KEY=VALUE", next_step="for example amplitude_user_id=u-1042")
    return name, value


def _show(found: Forgotten) -> None:
    from rich.markup import escape
    from rich.table import Table

    from etl.screen import out, print_error

    names = ", ".join(f"{count:,} {name}" for name, count in found.identifiers.items())
    out.print(
        f"{'[bold]dry run[/]: nothing is changed; ' if found.dry_run else ''}{found.people:,} profiles, identifiers: {names or 'none new'}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("where")
    table.add_column("would go" if found.dry_run else "removed", justify="right")
    counted = [
        ("loads written anew", found.loads.loads),
        ("landed lines", found.loads.lines),
        ("stream rows", found.loads.rows),
        ("fragments", found.loads.fragments),
        ("rejects", found.loads.rejects),
    ]
    forwarded = found.forwarded
    counted += [(f"inbox {name}", count) for name, count in forwarded.inboxes.items()]
    of_forwarding = [
        ("lines of forwarded files", forwarded.lines),
        ("rejects of forwarding", forwarded.rejects),
        ("notes beside receipts", forwarded.notes),
        ("torn files", forwarded.torn),
    ]
    counted += [one for one in of_forwarding if one[1]]
    if not found.dry_run:
        counted += [
            ("conflicts", found.conflicts),
            ("changes", found.changes),
            ("dead attempts", found.attempts),
            ("old files", found.files),
        ]
    for place, count in counted:
        table.add_row(escape(place), f"{count:,}")
    for one in found.destinations:
        table.add_row(f"destination {escape(one.destination)}", "written anew" if one.full else f"{one.deleted:,}")
    out.print(table)
    if found.loads.shared:
        out.print(
            f"  {found.loads.shared:,} fragments of other people hold one of these identifiers too: it stays there, and identifies nobody"
        )
    if found.mentions:
        out.print(f"  {found.mentions:,} records of other people mention one of these identifiers; they stay as they are")
    for name, reason in found.failed.items():
        print_error(f"destination {name} still holds what was removed: {reason}\n  Next: run the same command again")
    for name, reason in forwarded.failed.items():
        print_error(f"{name} may still hold what was to be removed: {reason}\n  Next: run the same command again")
