"""`hosts(x, ..)`: the hosts of several web addresses."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import host_of
from etl.mapping.web_text import any_text


def _hosts(*values: Value) -> list[str] | None:
    texts: list[str | None] = []
    for value in values:
        texts.extend([any_text(item) for item in value] if isinstance(value, list) else [value] if isinstance(value, str) else [])
    found = [host for text in texts if text and (host := host_of(text)) is not None]
    return found or None


FUNCTION = Function(
    name="hosts",
    signature="hosts(x[, ..])",
    summary="The hosts of all web addresses in the arguments and their lists, with their ports, lower case and in their order.",
    group="web",
    least=1,
    most=None,
    gives="[]string",
    kernel=_hosts,
    parses=True,
    examples=(
        Example("hosts(a, b)", {"a": "www.Example.com/?q=1", "b": "shop.example.org/"}, ["www.example.com", "shop.example.org"]),
        Example("hosts(a)", {"a": ["www.Example.com:80", "/cart"]}, ["www.example.com:80", ""]),
        Example("hosts(a, b)", {"a": "not an address", "b": "example.com"}, ["example.com"]),
        Example("hosts(a)", {"a": ""}, "missing"),
        Example("hosts(a)", {}, "missing"),
    ),
)
