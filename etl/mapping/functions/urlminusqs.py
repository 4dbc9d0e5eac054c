"""`urlminusqs(x, name)`: a web address without one parameter."""

from __future__ import annotations

from etl.mapping.conversions import Value, single_text
from etl.mapping.functions import Example, Function
from etl.mapping.web import parameters, query_string, read_address, with_likely_scheme
from etl.mapping.web_text import guarded, one_text


def _urlminusqs(value: Value, name: Value) -> str | None:
    text, removed = one_text(value), guarded(single_text, name)
    address = read_address(with_likely_scheme(text)) if text and removed else None
    if address is None or not removed:
        return None
    found = parameters(address.query)
    query = query_string({name: values for name, values in found.items() if name != removed}) if removed in found else address.query
    return f"{address.scheme}://{address.host}{address.path}" + (f"?{query}" if query else "")


FUNCTION = Function(
    name="urlminusqs",
    signature="urlminusqs(x, name)",
    summary="A web address without one of its parameters, its fragment and its user. Where the parameter was found the others "
    "are sorted by name; escapes in the path are read.",
    group="web",
    least=2,
    most=2,
    gives="string",
    kernel=_urlminusqs,
    parses=True,
    examples=(
        Example('urlminusqs(x, "q")', {"x": "https://example.com/a?z=1&q=2&b=3"}, "https://example.com/a?b=3&z=1"),
        Example('urlminusqs(x, "q")', {"x": "example.com?q=2#top"}, "http://example.com"),
        Example('urlminusqs(x, "q")', {"x": "https://example.com/a?z=1&b=3"}, "https://example.com/a?z=1&b=3"),
        Example('urlminusqs(x, "q")', {"x": "https://example.com/a"}, "https://example.com/a"),
        Example('urlminusqs(x, "q")', {"x": "http://192.168.0.%31:8080/"}, "missing"),
        Example('urlminusqs(x, "q")', {}, "missing"),
    ),
)
