"""`todate(x)` and `todate(layout, x)`: text or number to an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl.mapping.datemath import check_date_math, is_date_math, read_date_math
from etl.mapping.dates import date_of, date_text
from etl.mapping.functions import Example, Function, literal_text
from etl.mapping.layouts import names_year, parse_with_layout, read_layout
from etl.mapping.messages import ExpressionError
from etl.mapping.scope import Scope
from etl.mapping.tree import Call, Literal, Name

if TYPE_CHECKING:
    from etl.mapping.compile import Compiler, Sql


def todate(scope: Scope, *arguments: Any) -> datetime | None:
    """The instant of the last argument, read by the layout before it if there is one."""
    text = date_text(arguments[-1])
    if len(arguments) == 2:
        layout = date_text(arguments[0])
        return parse_with_layout(text, layout) if text and layout else None
    if text is not None and is_date_math(text, in_any_case=True):
        return read_date_math(text, scope.time)
    return date_of(arguments[0])


def _check(call: Call) -> None:
    if len(call.arguments) == 2 and not names_year(literal_text(call, 0, 'todate("2006-01-02 15:04:05", x)')):
        layout = call.arguments[0]
        raise ExpressionError(
            "E204",
            "this layout has no year, so no text gives a date",
            layout.start,
            layout.end,
            'write the date Mon Jan 2 15:04:05 2006 in your form, for example "2006-01-02"',
        )


def _suspect(call: Call) -> None:
    if len(call.arguments) == 1:
        check_date_math(call.arguments[0], in_any_case=True)


# As Amplitude writes times; what `engines.shred` reads as dates are the texts of this layout.
FULL_LAYOUT = "2006-01-02 15:04:05.000000"


def full_layout_value(compiler: Compiler, call: Call) -> str | None:
    """SQL of the instant, where the layout is the usual one and the record's value is there as a column."""
    layout = call.arguments[0]
    if len(call.arguments) < 2 or not isinstance(layout, Literal) or layout.value != FULL_LAYOUT:
        return None
    return compiler.value(call.arguments[1], "date")


def _sql(compiler: Compiler, call: Call) -> Sql | None:
    """The SQL form. Texts that it cannot read alike are for the kernel, not null."""
    from etl.engines.sql import quote
    from etl.mapping.compile import Form, Sql
    from etl.mapping.kinds import KINDS, SQL_ALIKE, layout_free_date, within_calendar

    if value := full_layout_value(compiler, call):
        return Sql(value, Form.TIME)
    source = call.arguments[-1]
    if not isinstance(source, Name):
        return None
    text, in_full = compiler.single_text(source), compiler.full_date(source)
    if len(call.arguments) == 1:
        # A number, unlike a text, is a date only in these years, and columns of text do not tell the two apart.
        plain = layout_free_date(text)
        sure = f"regexp_matches({text}, '{SQL_ALIKE}') AND year({plain}) BETWEEN 1800 AND 2120"
    else:
        layout = read_layout(literal_text(call, 0, 'todate("2006-01-02", x)'))
        if layout is None:
            return None
        formats = ", ".join(quote(form) for form in layout.formats)
        plain = f"CAST(try_strptime({text}, [{formats}]) AS TIMESTAMPTZ)"
        sure = f"regexp_matches({text}, {quote(layout.pattern)})"
        in_full = in_full if layout.takes_full_dates else None
    rest = f"{in_full} IS NULL AND {sure}" if in_full else sure
    alike = compiler.shared(f"(CASE WHEN {rest} THEN {plain} END)")
    found = (
        f"CASE WHEN {alike} IS NOT NULL THEN {within_calendar(alike)} WHEN {text} IS NOT NULL THEN {compiler.slow(call, KINDS['date'])} END"
    )
    return Sql(f"coalesce({in_full}, {found})" if in_full else f"({found})", Form.TIME)


_SEED = f'"{FULL_LAYOUT}"'
_NOON = datetime(2022, 11, 21, 15, 42, 30, tzinfo=UTC)

FUNCTION = Function(
    name="todate",
    signature="todate([layout,] x)",
    summary="An instant. With a Go layout (the date Mon Jan 2 15:04:05 2006 in your form) the text must match it; only a "
    "closing `.000000` may be shorter or missing. Without one: epoch digits, ISO dates, many written forms with the month "
    "first, and `now-3d`. No zone means UTC.",
    group="dates",
    least=1,
    most=2,
    gives="date",
    kernel=todate,
    needs_scope=True,
    parses=True,
    check=_check,
    suspect=_suspect,
    sql=_sql,
    examples=(
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30.000000"}, _NOON),
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30"}, _NOON),
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30.394"}, _NOON.replace(microsecond=394000)),
        Example(f"todate({_SEED}, t)", {"t": "21/11/2022"}, "missing"),
        Example("todate(t)", {"t": 1669045350}, _NOON),
        Example("todate(t)", {"t": "Nov 21, 2022 3:42:30 PM"}, _NOON),
        Example('todate("now-1h")', {}, _NOON.replace(hour=14), "2022-11-21T15:42:30+00:00"),
        Example("todate(t)", {"t": "soon"}, "missing"),
    ),
)
