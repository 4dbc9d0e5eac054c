"""The commands `profilemill client cohorts ...`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from etl.cli_options import AuthorizationOption, JobsOption, JsonOption
from etl.errors import ConfigurationError

cohorts_app = typer.Typer(
    help="List, download, make and change cohorts.",
    epilog="Example: profilemill client cohorts list --authorization shop",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ByOption = Annotated[Literal["user_id", "amplitude_id"], typer.Option("--by", help="What the ids are.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse everything where an id is of nobody, rather than skip it.")]


@cohorts_app.command("list", epilog="Example: profilemill client cohorts list --json")
def list_(authorization: AuthorizationOption = None, jobs: JobsOption = None, as_json: JsonOption = False) -> None:
    """List the cohorts that Amplitude shows: the published ones."""
    from etl import client_inputs, screen, screen_client

    with client_inputs.open_client(authorization, jobs) as client:
        found = client.list_cohorts()
    if as_json:
        screen.print_json([dict(one.raw) for one in found])
    else:
        screen_client.show_cohorts(found)


@cohorts_app.command(epilog="Example: profilemill client cohorts request a1b2c3d --props")
def request(
    cohort: Annotated[str, typer.Argument(metavar="COHORT", help="The cohort's id.")],
    props: Annotated[bool, typer.Option("--props", help="With the members' user properties.")] = False,
    only: Annotated[list[str] | None, typer.Option("--prop", metavar="NAME", help="With this property only; may be repeated.")] = None,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a cohort's members, and print the request's id. Each request is one of 500 a month."""
    from etl import client_inputs, screen

    with client_inputs.open_client(authorization, jobs) as client:
        request_id = client.request_cohort(cohort, props=props or bool(only), property_keys=only or ())
    if as_json:
        screen.print_json({"request_id": request_id})
    else:
        screen.out.print(request_id, markup=False)


@cohorts_app.command(epilog="Example: profilemill client cohorts download kZ1xyz members.csv --wait 10")
def download(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The id that `request` printed.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where the CSV goes.")],
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="MINUTES", help="Wait so long for it to be ready.")] = 30,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download the members of a request once it is ready. Costs no request, however often."""
    from etl import client_inputs, screen

    with client_inputs.open_client(authorization, jobs) as client, client_inputs.written(output), screen.progress("cohort") as steps:
        client.wait_for_cohort(
            request_id, deadline=timedelta(minutes=wait), on_poll=lambda status: steps.on_text(status.text or status.state)
        )
        done = client.download_cohort(request_id, output, on_bytes=steps.on_bytes)
    if as_json:
        screen.print_json({"path": str(done.path), "bytes": done.bytes})
    else:
        screen.out.print(f"{done.path}: {done.bytes:,} bytes", markup=False)


@cohorts_app.command(epilog="Example: profilemill client cohorts upload Buyers ids.txt --app-id 123456 --owner ana@example.com")
def upload(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cohort's name.")],
    input_: Annotated[Path, typer.Argument(metavar="FILE", help="Ids, one a line; - reads stdin.")],
    app_id: Annotated[int, typer.Option("--app-id", help="The project's number.")],
    owner: Annotated[str, typer.Option("--owner", metavar="E-MAIL", help="The login of the cohort's owner.")],
    by: ByOption = "user_id",
    existing: Annotated[str | None, typer.Option("--existing", metavar="COHORT", help="REPLACE the members of this cohort.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="TYPE", help="For a cohort of groups: their type.")] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Do not publish it: only the owner finds it.")] = False,
    strict: StrictOption = False,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a cohort of ids, or replace the members of one."""
    from etl import client_inputs, screen, screen_client

    ids = client_inputs.ids_in(input_)
    with client_inputs.open_client(authorization, jobs) as client:
        found = client.upload_cohort(
            name,
            ids,
            app_id=app_id,
            owner=owner,
            by=by,
            published=not hidden,
            group=group,
            existing_cohort_id=existing,
            skip_invalid_ids=not strict,
        )
    if as_json:
        screen.print_json(screen_client.plain(found))
    else:
        screen_client.show_upload(found)


@cohorts_app.command(epilog="Example: profilemill client cohorts members a1b2c3d --add new.txt --remove gone.txt")
def members(
    cohort: Annotated[str, typer.Argument(metavar="COHORT", help="The cohort's id.")],
    add: Annotated[Path | None, typer.Option("--add", metavar="FILE", help="Ids to add, one a line; - reads stdin.")] = None,
    remove: Annotated[Path | None, typer.Option("--remove", metavar="FILE", help="Ids to remove, one a line.")] = None,
    by: ByOption = "user_id",
    group: Annotated[str, typer.Option("--group", metavar="TYPE", help="For a cohort of groups: their type.")] = "User",
    strict: StrictOption = False,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add people to a cohort, and remove people from it."""
    from etl import client_inputs, screen, screen_client

    if add is None and remove is None:
        raise ConfigurationError("there is nobody to add or to remove", next_step="name files of ids: --add FILE, --remove FILE")
    lists = {"add": [] if add is None else client_inputs.ids_in(add), "remove": [] if remove is None else client_inputs.ids_in(remove)}
    with client_inputs.open_client(authorization, jobs) as client:
        found = client.change_cohort_members(cohort, **lists, by=by, group=group, skip_invalid_ids=not strict)
    if as_json:
        screen.print_json(screen_client.plain(found))
    else:
        screen_client.show_change(found)


@cohorts_app.command(epilog="Example: profilemill client cohorts usage")
def usage(authorization: AuthorizationOption = None, jobs: JobsOption = None, as_json: JsonOption = False) -> None:
    """Show how many of the month's cohort requests are used."""
    from etl import client_inputs, screen, screen_client

    with client_inputs.open_client(authorization, jobs) as client:
        found = client.cohort_usage(tolerant=False)
    if as_json:
        screen.print_json(screen_client.plain(found))
    else:
        screen_client.show_usage(found)
