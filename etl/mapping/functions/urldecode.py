"""`urldecode(x)`: text without the escapes of web addresses."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import form_unescaped, one_text, shown


def _urldecode(value: Value) -> str | None:
    text = one_text(value)
    plain = form_unescaped(text) if text else None
    return None if plain is None else shown(plain)


FUNCTION = Function(
    name="urldecode",
    signature="urldecode(x)",
    summary="The text with its escapes read: %2F is a slash, + is a blank. Missing where a percent sign stands without two "
    "hexadecimal digits.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_urldecode,
    parses=True,
    examples=(
        Example("urldecode(x)", {"x": "https%3A%2F%2Fexample.com%2F%3Fq%3D1"}, "https://example.com/?q=1"),
        Example("urldecode(x)", {"x": "caf%C3%A9+au+lait"}, "café au lait"),
        Example("urldecode(x)", {"x": "100%"}, "missing"),
        Example("urldecode(x)", {"x": 5}, "missing"),
        Example("urldecode(x)", {}, "missing"),
    ),
)
