"""`todate(x)` and `todate(layout, x)`: text or number to an instant."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.engines.sql import quote
from etl.mapping.compile import Compiler, Form, Sql
from etl.mapping.functions import Example, Function
from etl.mapping.kinds import layout_free_date, within_calendar
from etl.mapping.layouts import read_layout
from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call, Literal


def _check(call: Call) -> None:
    if len(call.arguments) < 2:
        return
    layout = call.arguments[0]
    if not isinstance(layout, Literal) or not isinstance(layout.value, str):
        raise ExpressionError(
            "E203",
            "the layout must be literal text",
            layout.start,
            layout.end,
            'for example todate("2006-01-02 15:04:05", x)',
        )
    if read_layout(layout.value) is None:
        raise ExpressionError(
            "E204",
            "this layout holds no date or time",
            layout.start,
            layout.end,
            'write the date Mon Jan 2 15:04:05 2006 in your form, for example "2006-01-02"',
        )


def _kernel(scope, *args):
    from etl.mapping.dates import time_of
    return time_of(args[-1], scope.time)


def _sql(compiler: Compiler, call: Call) -> Sql:
    text = compiler.text(call.arguments[-1])
    if len(call.arguments) == 1:
        return Sql(layout_free_date(text), Form.TIME)
    literal = call.arguments[0]
    layout = read_layout(str(literal.value)) if isinstance(literal, Literal) else None
    assert layout is not None  # the check came first
    formats = ", ".join(quote(form) for form in layout.formats)
    # strptime reads six digits at most; what a longer fraction adds is below a microsecond.
    cut = f"regexp_replace(replace({text}, ',', '.'), '(\\.[0-9]{{6}})[0-9]+', '\\1')" if len(layout.formats) > 1 else text
    plain = within_calendar(f"CAST(try_strptime({cut}, [{formats}]) AS TIMESTAMPTZ)")
    return Sql(f"(CASE WHEN regexp_matches({text}, {quote(layout.pattern)}) THEN {plain} END)", Form.TIME)


_SEED = '"2006-01-02 15:04:05.000000"'
_NOON = datetime(2022, 11, 21, 15, 42, 30, tzinfo=UTC)

FUNCTION = Function(
    name='todate', group='dates', gives='date', kernel=_kernel, needs_scope=True, parses=True, sql=_sql,
    signature="todate([layout,] x)",
    summary="An instant. With a Go layout (the date Mon Jan 2 15:04:05 2006 in your form) the text must match it, only "
    "a fraction may be missing or shorter; without one: epoch digits and ISO dates. No zone means UTC. Missing otherwise.",
    least=1,
    most=2,
    check=_check,
    examples=(
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30.000000"}, _NOON),
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30"}, _NOON),
        Example(f"todate({_SEED}, t)", {"t": "2022-11-21 15:42:30.394"}, _NOON.replace(microsecond=394000)),
        Example(f"todate({_SEED}, t)", {"t": "21/11/2022"}, "missing"),
        Example("todate(t)", {"t": 1669045350}, _NOON),
        Example("todate(t)", {"t": "2022-11-21T15:42:30Z"}, _NOON),
        Example("todate(t)", {"t": "soon"}, "missing"),
    ),
)
