"""The command `profilemill`.

Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · 3 done, but more rejects than --max-rejects · 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli_client import client_app
from etl.cli_cohorts import EPILOG as COHORTS_EPILOG
from etl.cli_cohorts import cohorts
from etl.cli_forget import EPILOG as FORGET_EPILOG
from etl.cli_forget import forget
from etl.cli_identity import identity_app, parted
from etl.cli_mapping import mapping_app
from etl.cli_options import JobsOption, JsonOption
from etl.cli_receive import receive
from etl.errors import ConfigurationError, ProfilemillError
from etl.settings import package_version

if TYPE_CHECKING:
    from etl.pipeline.project import Project
    from etl.reports import ForwardingReport, ImportReport

app = typer.Typer(
    name="profilemill",
    help="Turns Amplitude cohorts and events into unified user profiles.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done with more rejects than allowed, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
profiles_app = typer.Typer(help="Look at profiles.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(profiles_app, name="profiles")
app.add_typer(mapping_app, name="mapping")
app.add_typer(client_app, name="client")
app.command("cohorts", epilog=COHORTS_EPILOG)(cohorts)
app.command("forget", epilog=FORGET_EPILOG)(forget)
app.command(epilog="Example: profilemill receive --inbox inbox --port 8090")(receive)
app.add_typer(identity_app, name="identity")

FAILED, WRONG, REJECTED = 1, 2, 3


@app.callback(invoke_without_command=True)
def common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request and retry to stderr.")] = False,
) -> None:
    if version:
        typer.echo(f"profilemill {package_version()}")
        raise typer.Exit
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")


@app.command(epilog="Example: profilemill run shop-events --from 2024-03-02T00 --to 2024-03-03T00")
def run(
    jobs_to_run: Annotated[list[str], typer.Argument(metavar="JOB...", help="Names of jobs in the jobs file.")],
    jobs: JobsOption = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="HOUR", help="First UTC hour, such as 2024-03-02T00.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="HOUR", help="The UTC hour after the last one.")] = None,
    cohort: Annotated[list[str] | None, typer.Option("--cohort", help="Only this cohort (id or name); may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Download again what is loaded already.")] = False,
    accept_exits: Annotated[
        list[str] | None,
        typer.Option("--accept-exits", metavar="COHORT", help="Let more members leave this cohort than max_exit_share."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be asked for, and stop.")] = False,
    max_rejects: Annotated[
        str, typer.Option("--max-rejects", metavar="N|P%", help="More rejected lines than this give exit code 3.")
    ] = "1%",
    as_json: JsonOption = False,
) -> None:
    """Import, build profiles, load destinations; or send an inbox on."""
    from etl import runs

    limit = _reject_limit(max_rejects)
    project = _project(jobs)
    options = runs.Options(runs.read_window(from_, to), tuple(cohort or ()), force, tuple(accept_exits or ()))
    runs.check_options(project, jobs_to_run, options)
    if dry_run:
        runs.show_plan(project, jobs_to_run, options, as_json=as_json)
        return
    outcome = runs.run(project, jobs_to_run, options, as_json=as_json)
    if outcome.errors or any(report.failed for report in outcome.every):
        raise typer.Exit(FAILED)
    if _too_many(outcome.every, limit):
        raise typer.Exit(REJECTED)


@app.command(epilog="Example: profilemill status --samples 3")
def status(
    jobs: JobsOption = None,
    samples: Annotated[int, typer.Option("--samples", min=0, help="Show this many profiles, and how to read all of them.")] = 0,
    fields: Annotated[bool, typer.Option("--fields", help="Show what came of every mapped field.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is imported, what is missing, and how many profiles there are."""
    from etl import runs, screen, screen_forwarding
    from etl.pipeline.status import status as read_status

    project = _project(jobs)
    found = read_status(project)
    if as_json:
        screen.print_json(found.as_dict())
        return
    for forwarding in found.forwardings:
        screen_forwarding.show_job(forwarding)
    if found.jobs or not found.forwardings:
        screen.show_status(found, every_field=fields)
    if samples:
        runs.show_samples(project, samples)


@app.command(epilog="Example: profilemill check --offline")
def check(
    jobs: JobsOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Amplitude whether the keys are right.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the jobs file, its mappings, the lake and the keys."""
    from etl import screen
    from etl.pipeline.check import check as look

    findings = look(_project(jobs), online=not offline)
    if as_json:
        screen.print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok    " if finding.error is None else "FAULT "
            screen.out.print(f"{mark}{finding.subject}" + (f"  ({finding.note})" if finding.note else ""), markup=False)
            for text in (finding.error, *finding.warnings):
                if text:
                    screen.out.print("      " + text.replace("\n", "\n      "), markup=False)
    if any(finding.error for finding in findings):
        raise typer.Exit(WRONG)


@app.command("map", epilog="Example: profilemill map amplitude_events events.json --explain")
def map_command(
    mapping: Annotated[str, typer.Argument(metavar="MAPPING", help="The name of a mapping, or a YAML file.")],
    input_: Annotated[
        str | None,
        typer.Argument(metavar="INPUT", help="A JSON, JSON-lines or CSV file, gzipped or not; - reads stdin."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the SQL that the mapping compiles to.")] = False,
) -> None:
    """Show the rows that a mapping makes of a file, as JSON lines."""
    from etl import screen
    from etl.mapping import load_mapping
    from etl.pipeline import trial
    from etl.settings import packaged_mappings

    found = load_mapping(mapping, [Path("mappings").absolute(), packaged_mappings()])
    for warning in found.warnings:
        screen.err.print(warning.render(), markup=False)
    if explain:
        screen.out.print(trial.explain(found), markup=False)
    if input_ is None:
        if not explain:
            raise ConfigurationError("name the file to map", next_step="profilemill map MAPPING INPUT, or --explain for the SQL alone")
        return
    stdin = sys.stdin.buffer.read() if input_ == "-" else b""
    mapped = trial.map_file(found, None if input_ == "-" else Path(input_), stdin)
    screen.show_mapped(mapped.rows)
    screen.show_unmapped(mapped.bad, mapped.fields)
    if mapped.bad and not mapped.rows:
        raise typer.Exit(FAILED)


@profiles_app.command("show", epilog="Example: profilemill profiles show amplitude_user_id=u-1042")
def profiles_show(
    key: Annotated[str, typer.Argument(metavar="KEY=VALUE", help="An identifier, or profile_id=...")],
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the profile of an identifier."""
    from etl import screen
    from etl.profiles.published import find_profiles, find_quarantined

    project = _project(jobs)
    keys = project.identifiers_of(*parted(key))
    found = [profile for one in keys for profile in find_profiles(project.lake, *one)]
    if as_json:
        screen.print_json(found)
    for profile in found if not as_json else ():
        screen.show_profile(profile)
    if not found:
        kept_out = next((one for name in keys if (one := find_quarantined(project.lake, *name))), None)
        if kept_out is not None:
            screen.print_error(screen.quarantine_text(key, kept_out))
        elif not as_json:
            screen.print_error(f"nobody has {key}")
        raise typer.Exit(FAILED)


@app.command(epilog="Example: profilemill rebuild --from landing --mapping amplitude_events")
def rebuild(
    from_: Annotated[
        str, typer.Option("--from", help="fragments: identities and merging anew. landing: map the raw files anew too.")
    ] = "fragments",
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", metavar="NAME", help="With --from landing: map only the loads of jobs with this mapping anew."),
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute all profiles anew from what is on disk, and load every destination."""
    from etl import runs

    if from_ not in ("fragments", "landing"):
        raise ConfigurationError(f"cannot rebuild from {from_!r}", next_step="--from fragments or --from landing")
    if mapping is not None and from_ != "landing":
        raise ConfigurationError("--mapping maps raw files anew, so it goes with --from landing", next_step="add --from landing")
    runs.rebuild(_project(jobs), from_landing=from_ == "landing", mapping=mapping, as_json=as_json)


@app.command(epilog="Example: profilemill compact")
def compact(jobs: JobsOption = None, as_json: JsonOption = False) -> None:
    """Remove what no reader can see any more: superseded attempts, old versions, leftovers of killed runs."""
    from etl import screen
    from etl.pipeline.upkeep import compact as clean

    with screen.progress("compact") as steps:
        found = clean(_project(jobs).lake, steps.on_text)
    if as_json:
        screen.print_json(found)
    else:
        screen.out.print(f"removed {found['attempts']:,} attempts and {found['files']:,} files", markup=False)


@app.command(epilog="Example: profilemill sandbox --port 8080 --fault export:503:2")
def sandbox(
    port: Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
    data: Annotated[Path | None, typer.Option("--data", help="Serve the export members and cohort files of this folder.")] = None,
    events: Annotated[int, typer.Option("--events", min=0, help="How many sample events.")] = 5000,
    people: Annotated[int, typer.Option("--people", min=1, help="How many sample people.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Another seed makes other sample data.")] = 7,
    export_delay: Annotated[
        int, typer.Option("--export-delay", min=0, metavar="HOURS", help="Export an hour so long after its beginning; 0: at once.")
    ] = 3,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="ROUTE:NAME[:TIMES]",
            help="Misbehave on purpose; may be repeated. --fault list shows all.",
        ),
    ] = None,
) -> None:
    """Serve a stand-in for Amplitude on loopback (key `key`, secret `secret`) until Ctrl-C."""
    from etl import screen
    from etl.sandbox.amplitude import SandboxOptions
    from etl.sandbox.data import SampleSpec
    from etl.sandbox.faults import describe_faults, parse_faults
    from etl.sandbox.server import serve

    if fault and "list" in fault:
        for name, text in describe_faults():
            screen.out.print(f"{name:<28} {text}", markup=False)
        return
    options = SandboxOptions(
        sample=SampleSpec(seed=seed, people=people, events=events),
        data=data,
        faults=parse_faults(fault or []),
        export_delay=timedelta(hours=export_delay),
    )
    serve(
        options,
        port,
        lambda url: screen.show_sandbox(url, None if data else options.sample.first_hour, options.sample.hours),
    )


@app.command(hidden=True)
def schema() -> None:
    """Print the JSON Schema of the jobs file."""
    from etl import screen
    from etl.jobs import json_schema

    screen.print_json(json_schema())


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; its exit code. Every error of ours is one message on stderr. `etl.__main__` handles Ctrl-C."""
    from etl import screen

    try:
        # Without its standalone mode Typer returns the code of an Exit.
        code = app(args=arguments, standalone_mode=False)
    except ConfigurationError as error:
        screen.print_error(str(error))
        return WRONG
    except ProfilemillError as error:
        screen.print_error(str(error))
        return FAILED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        # Typer's own complaints about the command line are shown its way; anything else is a defect and stays whole.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return WRONG
    return code if isinstance(code, int) else 0


def _project(jobs: Path | None) -> Project:
    from etl.jobs import find_jobs_file
    from etl.pipeline.project import open_project

    return open_project(find_jobs_file(jobs))


def _reject_limit(text: str) -> tuple[float, bool]:
    """A number of lines, or a share with `%`."""
    try:
        share = text.endswith("%")
        number = float(text[:-1] if share else text)
        if number < 0:
            raise ValueError
    except ValueError as error:
        raise ConfigurationError(
            "--max-rejects is a number of lines or a percentage", value=text, next_step="for example 100 or 0.5%"
        ) from error
    return number, share


def _too_many(reports: list[ImportReport | ForwardingReport], limit: tuple[float, bool]) -> bool:
    number, share = limit
    rejects, lines = sum(report.rejects for report in reports), sum(report.lines for report in reports)
    return rejects > (lines * number / 100 if share else number)
