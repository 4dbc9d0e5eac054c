"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AuthorizationOption = Annotated[
    str | None, typer.Option("--authorization", "-a", metavar="NAME", help="The authorization of the jobs file; else the environment.")
]
JobsOption = Annotated[Path | None, typer.Option("--jobs", help="The jobs file; else PROFILEMILL_JOBS, else ./jobs.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
