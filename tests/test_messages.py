"""Whole messages as text: a wrong document and, beside it, everything that the reader of the message sees.

A new case is a new `.yaml`; its `.txt` is written by hand, or read with care after
`PROFILEMILL_WRITE_MESSAGES=1 pytest tests/test_messages.py` wrote it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from etl.jobs import load_jobs
from etl.mapping import load_mapping

FOLDER = Path(__file__).parent / "messages"
MAPPINGS = sorted(path for name in ("mappings", "no_yaml") for path in (FOLDER / name).iterdir() if path.suffix in (".yaml", ".lql"))
WARNINGS = sorted((FOLDER / "warnings").glob("*.yaml"))
JOBS = sorted((FOLDER / "jobs").glob("*.yaml"))


def _check(case: Path, error: ConfigurationError) -> None:
    golden = case.with_suffix(".txt")
    if os.environ.get("PROFILEMILL_WRITE_MESSAGES"):
        golden.write_text(error.what + "\n", encoding="utf-8")
    assert error.what + "\n" == golden.read_text(encoding="utf-8")
    assert str(case) in str(error), "the message names the file to correct"


@pytest.mark.parametrize("case", MAPPINGS, ids=lambda case: case.stem)
def test_mapping_messages(case: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(str(case), [])
    _check(case, caught.value)


@pytest.mark.parametrize("case", WARNINGS, ids=lambda case: case.stem)
def test_mapping_warnings(case: Path) -> None:
    found = "\n".join(warning.render() for warning in load_mapping(str(case), []).warnings) + "\n"
    golden = case.with_suffix(".txt")
    if os.environ.get("PROFILEMILL_WRITE_MESSAGES"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", JOBS, ids=lambda case: case.stem)
def test_jobs_messages(case: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_jobs(case)
    _check(case, caught.value)
