"""`urlmain(x)`: host and path of a web address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web import read_address
from etl.mapping.web_text import one_text


def _urlmain(value: Value) -> str | None:
    text = one_text(value)
    address = read_address(text) if text else None
    return None if address is None else address.host + address.path


FUNCTION = Function(
    name="urlmain",
    signature="urlmain(x)",
    summary="The host and path of a web address, without scheme, query and fragment; case is kept, escapes in the path are read.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_urlmain,
    parses=True,
    examples=(
        Example("urlmain(x)", {"x": "https://www.Example.com/Search?q=1#top"}, "www.Example.com/Search"),
        Example("urlmain(x)", {"x": "www.Example.com/?q=1"}, "www.Example.com/"),
        Example("urlmain(x)", {"x": "mailto:ann@example.com"}, ""),
        Example("urlmain(x)", {"x": "http://192.168.0.%31:8080/"}, "missing"),
        Example("urlmain(x)", {}, "missing"),
    ),
)
