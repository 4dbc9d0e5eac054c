"""The commands `profilemill mapping ...`: test, compare and convert mappings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli_options import JobsOption, JsonOption
from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from etl.mapping import Mapping
    from etl.pipeline.mapping_diff import Records

mapping_app = typer.Typer(
    help="Test, compare and convert mappings.",
    epilog="Example: profilemill mapping test",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FAILED, WRONG = 1, 2
DEFAULT_SAMPLE = 1000


@mapping_app.command(epilog="Example: profilemill mapping test amplitude_events")
def test(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME_OR_FILE]...", help="Mappings or test files; else all in `mappings/` beside the jobs file, or here."),
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the tests that stand beside mappings, as <name>.test.yaml.

    Exit codes: 0 all passed, 1 a case failed, 2 a mapping or its tests have faults.
    """
    from etl import screen
    from etl.pipeline.mapping_tests import run_tests
    from etl.screen_mapping import show_tested

    found = run_tests(names or [], _folders(jobs))
    if as_json:
        screen.print_json([one.as_dict() for one in found])
    else:
        show_tested(found)
    if any(one.error for one in found):
        raise typer.Exit(WRONG)
    if any(one.failed for one in found):
        raise typer.Exit(FAILED)


@mapping_app.command(epilog="Example: profilemill mapping diff shipped:amplitude_events amplitude_events")
def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A mapping's name or file; shipped:NAME is the one that comes with Profilemill.")
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The mapping that would take its place.")],
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=0, help=f"Try both on this many of the newest landed records ({DEFAULT_SAMPLE}); 0: on none."),
    ] = None,
    input_: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="Try both on this JSON, JSON-lines or CSV file, not on the lake.")
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would change if NEW took the place of OLD: in the definition, and in the values of records.

    Exit code 0 also where they differ.
    """
    from dataclasses import asdict

    from etl import screen
    from etl.pipeline.mapping_diff import compare_definitions, compare_values
    from etl.screen_mapping import show_compared, show_definition

    if sample is not None and input_ is not None:
        raise ConfigurationError("--sample is about the lake's records, --input about a file's", next_step="leave one of them out")
    before, now = (_mapping(name, jobs) for name in (old, new))
    definition = compare_definitions(before, now)
    records, why_none = _records(before, now, sample, input_, jobs)
    values = compare_values(before, now, records) if records is not None and records.table.num_rows else None
    if as_json:
        screen.print_json(
            {
                "definition": asdict(definition),
                "values": None if values is None else asdict(values),
                "not_compared": None if values is not None else why_none,
            }
        )
        return
    show_definition(definition)
    if values is not None:
        show_compared(values)
    else:
        screen.out.print(f"values    not compared: {why_none}", markup=False)


@mapping_app.command(epilog="Example: profilemill mapping convert amplitude_events --to lql")
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A mapping's name or file, YAML or LQL.")],
    to: Annotated[str | None, typer.Option("--to", metavar="yaml|lql", help="The form to write; else the one that SOURCE has not.")] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write this file; else to stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output take the place of a file.")] = False,
    jobs: JobsOption = None,
) -> None:
    """Write a mapping in its other form: YAML as LQL, or LQL as YAML."""
    from etl import screen
    from etl.mapping import find_mapping

    path = find_mapping(source, _folders(jobs))
    wanted = to or ("yaml" if path.suffix == ".lql" else "lql")
    if wanted not in ("yaml", "lql"):
        raise ConfigurationError("--to is yaml or lql", value=wanted)
    if output is not None:
        _check_output(output, wanted, force)
    from etl.mapping.convert import convert_file

    text = convert_file(path, wanted)
    if output is None:
        screen.out.print(text.rstrip("\n"), markup=False)
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError("cannot write the mapping", value=f"{output}: {error.strerror or error}") from error
    screen.err.print(f"wrote {output}", markup=False)


def _check_output(output: Path, form: str, force: bool) -> None:
    suffixes = (".lql",) if form == "lql" else (".yaml", ".yml")
    if output.suffix not in suffixes:
        raise ConfigurationError(
            f"a mapping in {form} needs a file name that ends with {suffixes[0]}", value=str(output), next_step="correct --output or --to"
        )
    if output.exists() and not force:
        raise ConfigurationError("this file is there already", value=str(output), next_step="name another file, or add --force")


def _mapping(name: str, jobs: Path | None) -> Mapping:
    from etl.mapping import load_mapping

    return load_mapping(name, _folders(jobs))


def _records(before: Mapping, now: Mapping, sample: int | None, file: Path | None, jobs: Path | None) -> tuple[Records | None, str]:
    """The records to try two mappings on; where there are none, why."""
    from etl.jobs import find_jobs_file
    from etl.pipeline.mapping_diff import newest_records, records_in
    from etl.pipeline.project import open_project

    if before.gives_events != now.gives_events:
        return None, "one gives events, the other fields of profiles"
    if file is not None:
        return records_in(file), f"{file} holds no records"
    if sample == 0:
        return None, "--sample is 0"
    if before.stream != now.stream:
        return None, "they are for different streams"
    if before.gives_events:
        return None, "files of an inbox are not in the lake; name one with --input"
    try:
        path = find_jobs_file(jobs)
    except ConfigurationError:
        if sample is not None or jobs is not None:
            raise
        return None, "there is no jobs file here; name it with --jobs, or a file of records with --input"
    lake = open_project(path).lake
    return newest_records(lake, before.stream, sample or DEFAULT_SAMPLE), f"nothing of {before.stream} has landed yet"


def _folders(jobs: Path | None) -> list[Path]:
    """Where mappings are looked for: `mappings/` beside the jobs file, or here where there is none, then the package's own.

    The jobs file itself is not read, so that a mapping can be tested without any key.
    """
    from etl.jobs import find_jobs_file
    from etl.settings import packaged_mappings

    try:
        folder = find_jobs_file(jobs).parent
    except ConfigurationError:
        if jobs is not None:
            raise
        folder = Path.cwd()
    return [folder / "mappings", packaged_mappings()]
