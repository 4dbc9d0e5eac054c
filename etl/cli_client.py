"""The commands `profilemill client ...`: Amplitude's APIs by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from etl.cli_client_cohorts import cohorts_app
from etl.cli_options import AuthorizationOption, JobsOption, JsonOption
from etl.errors import ConfigurationError

client_app = typer.Typer(
    help=(
        "Ask Amplitude, or send to it, by hand.\n\n"
        "Keys come from an authorization of the jobs file (--authorization NAME), or from the environment: AMPLITUDE_API_KEY, "
        "AMPLITUDE_SECRET_KEY (not needed to send), AMPLITUDE_REGION (us or eu), AMPLITUDE_BASE_URL (a sandbox or proxy). "
        "AMPLITUDE_TOKEN_ENDPOINT is another host to send to, whatever else is set."
    ),
    epilog="Example: profilemill client user-search u-1042 --authorization shop",
    no_args_is_help=True,
    rich_markup_mode=None,
)
client_app.add_typer(cohorts_app, name="cohorts")

FAILED = 1

UserOption = Annotated[str | None, typer.Option("--user-id", metavar="ID", help="The user id, where an object has none.")]
DeviceOption = Annotated[str | None, typer.Option("--device-id", metavar="ID", help="The device id, where an object has none.")]
PropertyOption = Annotated[
    list[str] | None, typer.Option("--property", "-p", metavar="KEY=VALUE", help="A property; its value is JSON, or else a text.")
]
PropertiesOption = Annotated[str | None, typer.Option("--properties", metavar="JSON", help="Properties, or operations, as an object.")]


@client_app.command(epilog="Example: profilemill client track events.jsonl --batch --authorization shop")
def track(
    input_: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Events as JSON lines or a JSON array, gzipped or not; - reads stdin.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--event-type", metavar="NAME", help="Send one event of this name instead.")] = None,
    user_id: UserOption = None,
    device_id: DeviceOption = None,
    session_id: Annotated[
        int | None, typer.Option("--session-id", metavar="MS", help="The session's start, where an event has none.")
    ] = None,
    property_: PropertyOption = None,
    properties: PropertiesOption = None,
    min_id_length: Annotated[int | None, typer.Option("--min-id-length", min=1, help="The shortest id to take; else 5.")] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Use the Batch endpoint: for backfills and bursts.")] = False,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send events.

    An event without insert_id gets one, so that what is sent again after a failure counts once. Stops at the first request that
    Amplitude refuses, naming its events, and how many were acknowledged before.
    """
    from etl import client_inputs, screen, screen_client
    from etl.clients.amplitude import BATCH, HTTP_V2

    if (input_ is None) == (event_type is None):
        raise ConfigurationError("name a file of events, or --event-type for one event, not both")
    given = client_inputs.properties_of(property_ or (), properties)
    if input_ is not None and given:
        raise ConfigurationError("--property and --properties are of the one event of --event-type")
    one = {"event_type": event_type, "event_properties": given or None}
    events = [one] if input_ is None else client_inputs.objects(input_)
    defaults = {"user_id": user_id, "device_id": device_id, "session_id": session_id}
    with client_inputs.open_client(authorization, jobs, **defaults) as client:
        done = list(client.track_all(events, min_id_length=min_id_length, endpoint=BATCH if batch else HTTP_V2))
    if not done:
        raise ConfigurationError("there are no events", value=str(input_))
    summary = {"events": sum(part.events for part in done), "requests": len(done), "server_upload_time": done[-1].server_upload_time}
    if as_json:
        screen.print_json(summary)
    else:
        counts = screen_client.counted(sum(part.events for part in done), "event"), screen_client.counted(len(done), "request")
        screen.out.print("{} acknowledged in {}".format(*counts), markup=False)


@client_app.command(epilog='Example: profilemill client identify --user-id u-1042 --properties \'{"$add": {"orders": 1}}\'')
def identify(
    input_: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Identifications as JSON lines or a JSON array; - reads stdin.")
    ] = None,
    user_id: UserOption = None,
    device_id: DeviceOption = None,
    property_: PropertyOption = None,
    properties: PropertiesOption = None,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set or change properties of users without an event.

    Properties are set, or changed by operations: $set, $setOnce, $add, $append, $prepend, $preInsert, $postInsert, $remove, $unset,
    $clearAll. The two cannot be mixed. All are checked before the first is sent; a failure tells how many were acknowledged before.
    """
    from etl import client_inputs, screen, screen_client

    given = client_inputs.properties_of(property_ or (), properties)
    if (input_ is None) == (not given):
        raise ConfigurationError("name a file of identifications, or the properties of one user, not both")
    ready = [{"user_properties": given}] if input_ is None else list(client_inputs.objects(input_))
    with client_inputs.open_client(authorization, jobs, user_id=user_id, device_id=device_id) as client:
        done = sum(client.identify_all(ready))
    if as_json:
        screen.print_json({"identified": done})
    else:
        screen.out.print(f"{screen_client.counted(done, 'user')} identified; it shows from their next event on", markup=False)


@client_app.command("group-identify", epilog="Example: profilemill client group-identify workspace 56354 --property plan=team")
def group_identify(
    group_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type of group, such as workspace.")],
    group_values: Annotated[list[str], typer.Argument(metavar="VALUE...", help="The groups.")],
    property_: PropertyOption = None,
    properties: PropertiesOption = None,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set or change properties of groups, as identify does those of users."""
    from etl import client_inputs, screen, screen_client

    given = client_inputs.properties_of(property_ or (), properties)
    with client_inputs.open_client(authorization, jobs) as client:
        client.group_identify(group_type, group_values, given)
    if as_json:
        screen.print_json({"identified": len(group_values)})
    else:
        screen.out.print(f"{screen_client.counted(len(group_values), 'group')} identified", markup=False)


@client_app.command(epilog="Example: profilemill client export --from 2024-03-02T00 --to 2024-03-03T00 events.zip")
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where the zip goes; - writes it to stdout as it arrives.")],
    from_: Annotated[str, typer.Option("--from", metavar="HOUR", help="First UTC hour of upload, such as 2024-03-02T00.")],
    to: Annotated[str, typer.Option("--to", metavar="HOUR", help="The UTC hour after the last one.")],
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download raw events: a zip of gzipped JSON lines, by the hour of upload.

    An hour can be exported three hours after its beginning. Exit code 1 where there are no events.
    """
    from etl import client_inputs, screen
    from etl.windows import Window, parse_hour

    window = Window(parse_hour(from_), parse_hour(to))
    with client_inputs.open_client(authorization, jobs) as client:
        if str(output) == "-":
            with client.export_stream(window.start, window.last_hour) as chunks:
                for chunk in chunks:
                    sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        with client_inputs.written(output), screen.progress("export") as steps:
            done = client.export(window.start, window.last_hour, output, on_bytes=steps.on_bytes)
    if as_json:
        screen.print_json({"path": str(done.path), "bytes": done.bytes})
    else:
        screen.out.print(f"{done.path}: {done.bytes:,} bytes", markup=False)


@client_app.command("user-search", epilog="Example: profilemill client user-search u-1042")
def user_search(
    wanted: Annotated[str, typer.Argument(metavar="TEXT", help="An Amplitude, device or user id, or the beginning of a user id.")],
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find people. Exit code 1 where there is nobody."""
    from etl import client_inputs, screen, screen_client

    with client_inputs.open_client(authorization, jobs) as client:
        found = client.user_search(wanted)
    if as_json:
        screen.print_json({"type": found.type, "matches": [dict(one.raw) for one in found.matches]})
    else:
        screen_client.show_search(found)
    if not found.matches:
        raise typer.Exit(FAILED)


@client_app.command("user-activity", epilog="Example: profilemill client user-activity 356896327775 --most 5000 --json")
def user_activity(
    amplitude_id: Annotated[int, typer.Argument(metavar="AMPLITUDE_ID", help="As user-search finds it.")],
    most: Annotated[int, typer.Option("--most", min=1, help="The most events; each 1,000 take a request, of 360 an hour.")] = 10_000,
    earliest: Annotated[bool, typer.Option("--earliest", help="The oldest events first, not the newest.")] = False,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many events at the beginning.")] = 0,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a person and their events, and say whether there are more. Exit code 1 where there is nobody."""
    from etl import client_inputs, screen, screen_client

    with client_inputs.open_client(authorization, jobs) as client:
        found = client.user_activity(amplitude_id, most=most, earliest=earliest, offset=offset)
    if as_json:
        screen.print_json({"userData": dict(found.user), "events": list(found.events), "truncated": found.truncated})
    else:
        screen_client.show_activity(found, amplitude_id)
    if not found.found:
        raise typer.Exit(FAILED)


@client_app.command(epilog="Example: profilemill client segmentation 'Order Completed' --first 2024-03-01 --last 2024-03-31 --by country")
def segmentation(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name, or the API's JSON object with filters.")],
    first: Annotated[str, typer.Option("--first", metavar="DAY", help="The first day, such as 2024-03-01, in the project's time zone.")],
    last: Annotated[str, typer.Option("--last", metavar="DAY", help="The last day; it is included.")],
    second_event: Annotated[str | None, typer.Option("--second-event", metavar="EVENT", help="Another event beside it.")] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="uniques, totals, pct_dau, average, or of a property: histogram, sums, value_avg.")
    ] = "uniques",
    formula: Annotated[str | None, typer.Option("--formula", help="With --metric formula.")] = None,
    interval: Annotated[str, typer.Option("--interval", help="realtime, hourly, daily, weekly, monthly.")] = "daily",
    users: Annotated[str, typer.Option("--users", help="any or active.")] = "any",
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="PROPERTY", help="Group by it (gp:NAME: a custom one); twice at most.")
    ] = None,
    segment: Annotated[list[str] | None, typer.Option("--segment", metavar="JSON", help="A condition: prop, op, values.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="The most groups, up to 1,000; Amplitude's own is 100.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Print what the query would cost, and stop.")] = False,
    most_cost: Annotated[int, typer.Option("--most-cost", help="Refuse a query that costs more.")] = 1000,
    authorization: AuthorizationOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count how often an event happened, by day and by group.

    A project may spend a cost of 1,000 in five minutes, about days x conditions x events; a group-by counts 4.
    """
    from etl import client_inputs, screen, screen_client
    from etl.clients.amplitude import SegmentationQuery

    query = SegmentationQuery(
        client_inputs.event_or_name(event),
        client_inputs.day(first, "--first"),
        client_inputs.day(last, "--last"),
        second_event=None if second_event is None else client_inputs.event_or_name(second_event),
        metric=metric,
        formula=formula,
        interval=interval,
        users=users,
        group_by=tuple(by or ()),
        segments=[client_inputs.condition(one) for one in segment or ()],
        limit=limit,
    )
    if cost:
        if as_json:
            screen.print_json({"cost": query.cost})
        else:
            screen.out.print(f"about {query.cost:,} of {most_cost:,} in five minutes", markup=False)
        return
    with client_inputs.open_client(authorization, jobs) as client:
        found = client.event_segmentation(query, most_cost=most_cost)
    if as_json:
        screen.print_json({"cost": found.cost, "data": dict(found.raw)})
    else:
        screen_client.show_segmentation(found)
