"""The table of what came of each field, on narrow and on wide screens."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from etl.reports import FieldCounts
from etl.screen_fields import show_table

COUNTS = {"amplitude_is_attribution_event": FieldCounts(values=1, missing=2, misfits=405, samples=["pro", "free"])}


@pytest.mark.parametrize("width", [80, 120])
def test_no_heading_is_cut_and_the_samples_are_shown(width: int) -> None:
    out = io.StringIO()
    show_table(Console(file=out, width=width), COUNTS)
    text = out.getvalue()
    for shown in ("field", "evaluated", "values", "missing", "skipped", "unreadable", "short", "pro, free", "405"):
        assert shown in text
    assert max(map(len, text.splitlines())) <= width
