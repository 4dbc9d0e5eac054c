"""The commands `profilemill identity ...`: why identifiers belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli_options import JobsOption
from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from etl.profiles.explain import Explanation, Link

identity_app = typer.Typer(
    help="See why identifiers are one person.",
    epilog="Example: profilemill identity explain amplitude_user_id=u-1042",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FAILED = 1
_MOST_SHOWN = 100

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, with every link.")]


def parted(key: str) -> tuple[str, str]:
    """KEY=VALUE as the two. Raises ConfigurationError where one is missing."""
    name, equals, value = key.partition("=")
    if not equals or not value:
        raise ConfigurationError("write the identifier as KEY=VALUE", value=key, next_step="for example amplitude_user_id=u-1042")
    return name, value


@identity_app.callback()
def identity() -> None:
    """See why identifiers are one person."""


@identity_app.command(epilog="Example: profilemill identity explain amplitude_user_id=u-1042")
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY=VALUE", help="An identifier, or profile_id=...")],
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the links that make one person of identifiers, which load brought each first, and the links not followed."""
    from etl import screen
    from etl.jobs import find_jobs_file
    from etl.pipeline.project import open_project
    from etl.profiles.explain import explain as explained

    project = open_project(find_jobs_file(jobs))
    # Of a hashed field people know the plain value.
    every = (explained(project.lake, *one) for one in project.identifiers_of(*parted(key)))
    found = next((one for one in every if one), None)
    if as_json:
        screen.print_json(found.as_dict() if found else None)
    elif found:
        for line in _lines(found):
            screen.out.print(line, markup=False)
    else:
        screen.print_error(f"nobody has {key}")
    if not found:
        raise typer.Exit(FAILED)


def _lines(found: Explanation) -> list[str]:
    kept = ", in quarantine: too many identifiers" if found.quarantined else ""
    due = f"as of the last build; {found.waiting:,} loads came since, and the next build (`profilemill run JOB`) may decide otherwise"
    lines = [due] if found.waiting else []
    lines += [f"profile {found.profile_id}{kept}", f"  named by {found.named_by}, seen first", f"identifiers: {len(found.identifiers):,}"]
    lines += [
        f"  {one.identifier}  since {one.first_seen.isoformat()} in {one.load}, {_records(one.records)}"
        for one in found.identifiers[:_MOST_SHOWN]
    ]
    lines += _more(len(found.identifiers))
    lines.append(f"links: {len(found.links):,}")
    lines += [f"  {_link(link)}" for link in found.links[:_MOST_SHOWN]]
    lines += _more(len(found.links))
    if found.refused:
        lines.append(f"links not followed, because they would join two people: {len(found.refused):,}")
        lines += [f"  {_link(link)}: {link.left_person} and {link.right_person}" for link in found.refused[:_MOST_SHOWN]]
        lines += _more(len(found.refused))
    return lines


def _link(link: Link) -> str:
    loads = "" if link.loads == 1 else f" and {link.loads - 1:,} more"
    return f"{link.left} - {link.right}  since {link.first_seen.isoformat()} in {link.load}{loads}, {_records(link.records)}"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _more(count: int) -> list[str]:
    return [f"  and {count - _MOST_SHOWN:,} more: --json shows all"] if count > _MOST_SHOWN else []
