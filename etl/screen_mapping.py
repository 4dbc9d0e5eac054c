"""What the commands `mapping test` and `mapping diff` show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from etl.pipeline.mapping_diff import NEW_LOADS, NEXT_FILES, NOTHING, Change, Compared, Definition, FieldChange, ValueCounts
from etl.pipeline.mapping_tests import Tested
from etl.screen import out

_EFFECTS = {
    NOTHING: ["stored    no value changes: nothing to do"],
    NEW_LOADS: [
        "stored    new imports follow the new mapping at once; what is loaded already keeps its values",
        "          until `profilemill rebuild --from landing` maps it again",
    ],
    NEXT_FILES: ["sent      what is sent on from now on follows the new mapping; what was sent stays as it is"],
}
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_OWN = {"_time": "message time", "_key": "key"}


def show_tested(tested: Sequence[Tested]) -> None:
    """A line per mapping, and below it what of each failing case went another way; at last the sum."""
    for one in tested:
        if one.error is not None:
            out.print(f"[red]FAULT[/] {_place(one.file)}")
            _indented(one.error.split("\n"), "      ")
        elif one.file is None:
            out.print(f"none  {_place(one.mapping)} has no tests")
        else:
            mark = "[red]FAIL [/]" if one.failed else "ok   "
            passed = len(one.outcomes) - one.failed
            counted = f"{one.failed} of {_cases(len(one.outcomes))} failed" if one.failed else f"{_cases(passed)} passed"
            out.print(f"{mark} {_place(one.file)}  ({counted})")
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


def show_definition(found: Definition) -> None:
    """What is written differently, and what that means for what is stored."""
    out.print("[bold]definition[/]" + ("" if found.mapping or found.fields else " the same"))
    _indented([f"{one.what}: {_arrow(one)}" for one in found.mapping], "  ")
    for field in found.fields:
        _show_field(field)
    if found.reasons:
        _indented(["stored    cannot follow: imports stop until `profilemill rebuild --from landing`"], "")
        _indented(found.reasons, "          ")
    else:
        _indented(_EFFECTS[found.effect], "")


def _show_field(field: FieldChange) -> None:
    if field.status == "changed":
        _indented([f"~ {field.field}", *(f"    {one.what}: {_arrow(one)}" for one in field.changes)], "  ")
        return
    values = ", ".join(f"{one.what}: {one.new if one.old is None else one.old}" for one in field.changes)
    _indented([f"{_SIGNS[field.status]} {field.field}  ({values})"], "  ")


def _arrow(change: Change) -> str:
    return f"{change.old or 'none'} -> {change.new or 'none'}"


def show_compared(found: Compared) -> None:
    """The fields whose values differ in a table with examples, and how many do not."""
    out.print(f"[bold]values[/]    {found.mapped:,} records: {escape(found.source)}")
    for count, what in ((found.left_out, "are left out by the new mapping alone"), (found.let_in, "are mapped by the new one alone")):
        if count:
            out.print(f"  {count:,} of them {what}")
    if unmapped := found.records - found.mapped:
        out.print(f"  {unmapped:,} more are left out by both")
    differing = [one for one in found.fields if one.differs]
    if differing:
        out.print(_table(differing))
    for one in differing:
        _indented([_named(one), *(f"  {old} -> {new}" for old, new in one.examples)], "  ")
    same = sum(1 for one in found.fields if not one.differs and one.field not in _OWN)
    out.print(f"  {same:,} fields are the same in every record")


def _table(counts: Sequence[ValueCounts]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("field")
    for heading in ("equal", "changed", "new", "gone"):
        table.add_column(heading, justify="right")
    for one in counts:
        table.add_row(escape(_named(one)), *(f"{number:,}" for number in (one.equal, one.changed, one.new, one.gone)))
    return table


def _named(one: ValueCounts) -> str:
    return _OWN.get(one.field, one.field)


def _place(path: Path | None) -> str:
    """The path as one would write it from here."""
    assert path is not None
    here = Path.cwd()
    return escape(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _cases(count: int) -> str:
    return f"{count:,} case{'' if count == 1 else 's'}"


def _indented(lines: Iterable[str], by: str) -> None:
    for line in lines:
        out.print(by + line, markup=False)
