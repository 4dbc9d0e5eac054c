"""The commands `profilemill mapping ...`: test, compare and convert mappings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.errors import ConfigurationError

if TYPE_CHECKING:
    pass

mapping_app = typer.Typer(
    help="Test, compare and convert mappings.",
    epilog="Example: profilemill mapping test",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FAILED, WRONG = 1, 2
DEFAULT_SAMPLE = 1000

JobsOption = Annotated[Path | None, typer.Option("--jobs", help="The jobs file; else PROFILEMILL_JOBS, else ./jobs.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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
