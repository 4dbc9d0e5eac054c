"""What the commands `profilemill client ...` show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from etl.clients.amplitude import Cohort, CohortUpload, CohortUsage, MembershipChange, Segmentation, UserActivity, UserSearch
from etl.screen import out, visible

_MOST_SHOWN = 20
_SUMMARY = (
    "user_id", "canonical_amplitude_id", "merged_amplitude_ids", "num_events", "num_sessions", "first_used", "last_used", "purchases",
    "revenue", "platform", "os", "version", "device", "carrier", "country", "region", "city", "language", "device_ids", "properties",
)  # fmt: skip


def plain(value: Any) -> Any:
    """Dataclasses as objects, without their `raw` answers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name != "raw"}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def counted(number: int, noun: str) -> str:
    """`1 event`, `2,500 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def show_search(found: UserSearch) -> None:
    """How people were found, and a line for each."""
    out.print(visible(f"{found.type}, {len(found.matches):,} found"), markup=False)
    _table(("amplitude_id", "user_id"), ((str(one.amplitude_id), one.user_id or "") for one in found.matches))


def show_activity(found: UserActivity, asked: int) -> None:
    """The person's summary, and the first events."""
    if not found.found:
        out.print(f"nobody has the Amplitude ID {asked}", markup=False)
        return
    for name in _SUMMARY:
        value = found.user.get(name)
        if value not in (None, "", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            out.print(visible(f"  {name:<24} {text}"), markup=False)
    more = ", and Amplitude has more" if found.truncated else ""
    out.print(counted(len(found.events), "event") + more, markup=False)
    rows = (
        (str(one.get("event_time") or ""), str(one.get("event_type") or ""), json.dumps(one.get("event_properties"), ensure_ascii=False))
        for one in found.events[:_MOST_SHOWN]
    )
    _table(("event_time", "event_type", "event_properties"), rows)
    if len(found.events) > _MOST_SHOWN:
        out.print(f"… and {len(found.events) - _MOST_SHOWN:,} more of them: --json prints all", markup=False)


def show_segmentation(found: Segmentation) -> None:
    """A row for each x value, a column for each series."""
    labels = [label if isinstance(label, str) else json.dumps(label, ensure_ascii=False) for label in found.labels]
    headings = ("", *(["value"] if labels in ([], ["0"]) else labels))
    columns = zip(*found.series, strict=True) if found.series else [()] * len(found.x_values)
    rows = ((x, *map(_number, values)) for x, values in zip(found.x_values, columns, strict=True))
    _table(headings, rows, numbers=True)


def show_cohorts(cohorts: Sequence[Cohort]) -> None:
    """A line for each cohort."""
    rows = ((one.id, one.name, "" if one.size is None else f"{one.size:,}", "archived" if one.archived else "") for one in cohorts)
    _table(("id", "name", "size", ""), rows)


def show_upload(found: CohortUpload) -> None:
    """The cohort's id, and how many ids are somebody's."""
    out.print(f"cohort {found.cohort_id}: {found.matched:,} of {found.given:,} ids matched", markup=False)
    if found.invalid_ids_sample:
        out.print(visible(f"  of nobody: {', '.join(found.invalid_ids_sample[:_MOST_SHOWN])}"), markup=False)


def show_change(found: MembershipChange) -> None:
    """How many were sent, and who was skipped."""
    out.print(
        f"cohort {found.cohort_id}: {found.added:,} ids to add, {found.removed:,} to remove, {len(found.skipped):,} skipped", markup=False
    )
    if found.skipped:
        out.print(visible(f"  of nobody: {', '.join(found.skipped[:_MOST_SHOWN])}"), markup=False)


def show_usage(found: CohortUsage | None) -> None:
    """The month's requests."""
    if found is None:
        out.print("Amplitude does not tell", markup=False)
        return
    used, limit = ("?" if one is None else f"{one:,}" for one in (found.used, found.limit))
    resets = f", counted anew from {found.resets_at:%Y-%m-%d %H:%M} UTC" if found.resets_at else ""
    out.print(f"{used} of {limit} cohort requests used this month{resets}", markup=False)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(escape(visible(heading)), justify="right" if numbers and index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    if table.row_count:
        out.print(table)


def _number(value: Any) -> str:
    """A value of a series; null where Amplitude has none."""
    return f"{value:,}" if isinstance(value, int | float) else "" if value is None else str(value)
