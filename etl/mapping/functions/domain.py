"""`domain(x)`: the registrable domain of a web address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import host_of, registrable_domain
from etl.mapping.web_text import listed_texts, utf8


def _domain(value: Value) -> str | None:
    texts = listed_texts((value,))
    host = host_of(texts[0]) if texts else None
    return registrable_domain(host) if host and len(utf8(host)) > 2 else None


FUNCTION = Function(
    name="domain",
    signature="domain(x)",
    summary="The domain of a web address that its owner registered, by the public suffix list: lower case, without port. "
    "The scheme may be missing. Missing for IP addresses and names like localhost; of a list the first element counts.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_domain,
    parses=True,
    examples=(
        Example("domain(x)", {"x": "https://www.Books.Example.co.uk/a?b=c"}, "example.co.uk"),
        Example("domain(x)", {"x": "shop.example.com:8080/cart"}, "example.com"),
        Example("domain(x)", {"x": "ann.github.io"}, "ann.github.io"),
        Example("domain(x)", {"x": "http://192.168.0.1/"}, "missing"),
        Example("domain(x)", {"x": "co.uk"}, "missing"),
        Example("domain(x)", {}, "missing"),
    ),
)
