"""`qs2(x, name)`: a parameter of a web address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import parameter
from etl.mapping.web_text import one_text


def _qs2(value: Value, name: Value) -> str | None:
    text = one_text(value)
    return parameter(text, name) if text else None


FUNCTION = Function(
    name="qs2",
    signature="qs2(x, name)",
    summary="The first value of a parameter in a web address, as it is written. Missing where the parameter is absent or empty.",
    group="web",
    least=2,
    most=2,
    gives="string",
    kernel=_qs2,
    examples=(
        Example('qs2(x, "q")', {"x": "https://example.com/?q=Big+Sale"}, "Big Sale"),
        Example('qs2(x, "q")', {"x": "www.example.com/?Q=Big"}, "missing"),
        Example('qs2(x, "q")', {"x": ["https://example.com/?q=1", "https://example.com/?q=2"]}, "1"),
        Example('qs2(x, "q")', {"x": "https://example.com/?q=50%&p=1"}, "missing"),
        Example('qs2(x, "q")', {}, "missing"),
    ),
)
