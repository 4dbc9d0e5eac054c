"""`domains(x, ..)`: the registrable domains of several web addresses."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import host_of, registrable_domain
from etl.mapping.web_text import listed_texts, utf8


def _domains(*values: Value) -> list[str] | None:
    found: list[str] = []
    for text in listed_texts(values):
        host = host_of(text) if len(utf8(text)) > 3 else None
        if host is not None:
            domain = registrable_domain(host)
            # Two empty texts stand for an address without a domain: stored lists of the engine have them.
            found.extend((domain,) if domain else ("", ""))
    return found or None


FUNCTION = Function(
    name="domains",
    signature="domains(x[, ..])",
    summary="The registrable domains of all web addresses in the arguments and their lists, in their order. Texts under four "
    "characters and what is no address are left out; an address without such a domain gives two empty texts.",
    group="web",
    least=1,
    most=None,
    gives="[]string",
    kernel=_domains,
    parses=True,
    examples=(
        Example("domains(a, b)", {"a": "https://www.Example.com/a", "b": "shop.example.org"}, ["example.com", "example.org"]),
        Example("domains(a)", {"a": ["a.example.com:80", "b.example.co.uk"]}, ["example.com", "example.co.uk"]),
        Example("domains(a, b)", {"a": "localhost", "b": "example.com"}, ["", "", "example.com"]),
        Example("domains(a)", {"a": ["abc", "def"]}, "missing"),
        Example("domains(a)", {}, "missing"),
    ),
)
