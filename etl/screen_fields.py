"""What came of a mapping's fields, for people: the ones that need a look, or a table of all."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from etl.reports import FieldCounts

# From this width on there is room for samples beside six columns of numbers.
_ROOMY = 100


def show_troubled(out: Console, counts: dict[str, FieldCounts]) -> None:
    """A line for each field with values that could not be read, and one for dates with a shorter fraction."""
    show_unread(out, counts)
    short = [f"{name} {count.short_fractions:,}" for name, count in counts.items() if count.short_fractions]
    if short:
        out.print(f"  dates with fewer digits than their layout (read all the same): {escape(', '.join(short))}")


def show_unread(out: Console, counts: dict[str, FieldCounts]) -> None:
    """A line for each field with values that could not be read."""
    for name, count in counts.items():
        if count.misfits:
            samples = f", for example {escape(', '.join(count.samples))}" if count.samples else ""
            out.print(f"  {escape(name)}: {count.misfits:,} of {count.evaluated:,} values could not be read{samples}")


def show_table(out: Console, counts: dict[str, FieldCounts]) -> None:
    """Every field: evaluated, value, missing, skipped by its guard, unreadable, samples; those below where there is no room."""
    roomy = out.width >= _ROOMY
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1) if roomy else (0, 1, 0, 0))
    table.add_column("field", no_wrap=True, min_width=max((len(name) for name in counts), default=0))
    for heading in ("evaluated", "values", "missing", "skipped", "unreadable", "short"):
        table.add_column(heading, justify="right")
    if roomy:
        table.add_column("samples", overflow="fold")
    for name, count in counts.items():
        numbers = (count.evaluated, count.values, count.missing, count.skipped, count.misfits, count.short_fractions)
        samples = [escape(", ".join(count.samples))] if roomy else []
        table.add_row(escape(name), *(f"{number:,}" for number in numbers), *samples)
    out.print(table)
    if not roomy:
        show_unread(out, counts)
