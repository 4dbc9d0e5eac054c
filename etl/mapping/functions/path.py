"""`path(x)`: the path of a web address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import read_address, with_likely_scheme
from etl.mapping.web_text import lowered, one_text


def _path(value: Value) -> str | None:
    text = one_text(value)
    address = read_address(with_likely_scheme(lowered(text))) if text else None
    return None if address is None else address.path


FUNCTION = Function(
    name="path",
    signature="path(x)",
    summary="The path of a web address, lower case and with its escapes read. Empty where it has none.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_path,
    parses=True,
    examples=(
        Example("path(x)", {"x": "https://www.example.com/Blog/Hello%20World.html?q=1"}, "/blog/hello world.html"),
        Example("path(x)", {"x": "www.example.com/cart"}, "/cart"),
        Example("path(x)", {"x": "/home/Ann"}, "/home/ann"),
        Example("path(x)", {"x": "https://example.com"}, ""),
        Example("path(x)", {"x": "http://192.168.0.%31:8080/"}, "missing"),
        Example("path(x)", {}, "missing"),
    ),
)
