"""`qs(x, name)`: a parameter of a web address, lower case."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import parameter
from etl.mapping.web_text import lowered, one_text


def _qs(value: Value, name: Value) -> str | None:
    text = one_text(value)
    return parameter(lowered(text), name) if text else None


FUNCTION = Function(
    name="qs",
    signature="qs(x, name)",
    summary="The first value of a parameter in a web address. The whole address is made lower case first, so the name must be "
    "given in lower case; qs2 keeps case. Missing where the parameter is absent or empty.",
    group="web",
    least=2,
    most=2,
    gives="string",
    kernel=_qs,
    aliases=("qsl",),
    examples=(
        Example('qs(x, "utm_source")', {"x": "https://example.com/?UTM_Source=News+Letter"}, "news letter"),
        Example('qs(x, "q")', {"x": "www.example.com/?q=a%26b&q=c"}, "a&b"),
        Example('qs(x, "Q")', {"x": "https://example.com/?Q=a"}, "missing"),
        Example('qs(x, "q")', {"x": "https://example.com/?q="}, "missing"),
        Example('qs(x, "q")', {}, "missing"),
    ),
)
