"""`host(x)`: the host of a web address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import host_of
from etl.mapping.web_text import one_text


def _host(value: Value) -> str | None:
    text = one_text(value)
    return host_of(text) if text else None


FUNCTION = Function(
    name="host",
    signature="host(x)",
    summary="The host of a web address with its port, lower case. The scheme may be missing; almost any text without blanks "
    "is a host. Empty where the address has none (a path alone).",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_host,
    parses=True,
    examples=(
        Example("host(x)", {"x": "https://www.Example.com:8080/a"}, "www.example.com:8080"),
        Example("host(x)", {"x": "www.Example.com/?q=1"}, "www.example.com"),
        Example("host(x)", {"x": "/cart"}, ""),
        Example("host(x)", {"x": "not an address"}, "missing"),
        Example("host(x)", {}, "missing"),
    ),
)
