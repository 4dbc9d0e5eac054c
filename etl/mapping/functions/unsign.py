"""`unsign(x)`: a signed 64-bit integer as an unsigned one."""

from __future__ import annotations

from etl.mapping.conversions import Value, int_of
from etl.mapping.functions import Example, Function


def _unsign(value: Value) -> str | None:
    number = int_of(value)
    return None if number is None else str(number % 2**64)


FUNCTION = Function(
    name="unsign",
    signature="unsign(x)",
    summary="A 64-bit integer read again without its sign, as text: negative ids become what systems with unsigned ids show.",
    group="numbers",
    least=1,
    most=1,
    gives="string",
    kernel=_unsign,
    parses=True,
    examples=(
        Example("unsign(x)", {"x": 794}, "794"),
        Example("unsign(x)", {"x": -1}, "18446744073709551615"),
        Example("unsign(x)", {"x": "-70"}, "18446744073709551546"),
        Example("unsign(x)", {"x": "a"}, "missing"),
        Example("unsign(x)", {}, "missing"),
    ),
)
