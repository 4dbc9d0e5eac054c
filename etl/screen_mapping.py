"""What the commands `mapping test` and `mapping diff` show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape

from etl.pipeline.mapping_tests import Tested
from etl.screen import out


def show_tested(tested: Sequence[Tested]) -> None:
    """A line per mapping, and below it what of each failing case went another way; at last the sum."""
    for one in tested:
        if one.error is not None:
            out.print(f"[red]FAULT[/] {escape(str(one.file))}")
            _indented(one.error.split("\n"), "      ")
        elif one.file is None:
            out.print(f"none  {escape(str(one.mapping))} has no tests")
        else:
            mark = "[red]FAIL [/]" if one.failed else "ok   "
            passed = len(one.outcomes) - one.failed
            counted = f"{one.failed} of {_cases(len(one.outcomes))} failed" if one.failed else f"{_cases(passed)} passed"
            out.print(f"{mark} {escape(str(one.file))}  ({counted})")
            _show_failures(one)
    cases = [outcome for one in tested for outcome in one.outcomes]
    if len(tested) > 1:
        failed = sum(one.failed for one in tested)
        out.print(f"{_cases(len(cases) - failed)} passed, {failed} failed", style="bold")


def _show_failures(tested: Tested) -> None:
    for outcome in tested.outcomes:
        if outcome.differences:
            assert tested.file is not None
            out.print(f"      {escape(outcome.name)}  [dim]{escape(tested.file.name)}:{outcome.line}[/]")
        for one in outcome.differences:
            why = f"  ({one.why})" if one.why else ""
            _indented([one.field, f"  expected  {one.expected}", f"  got       {one.got}{why}"], "        ")


def _cases(count: int) -> str:
    return f"{count:,} case{'' if count == 1 else 's'}"


def _indented(lines: Iterable[str], by: str) -> None:
    for line in lines:
        out.print(by + line, markup=False)
