"""`encoding.b64decode(x)`: the text that base64 holds."""

from __future__ import annotations

from etl.mapping.conversions import Value, is_empty
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import any_text, base64_bytes, readable


def _b64decode(value: Value) -> str | None:
    text = None if is_empty(value) else any_text(value)
    content = None if text is None else base64_bytes(text)
    return None if content is None else readable(content)


FUNCTION = Function(
    name="encoding.b64decode",
    signature="encoding.b64decode(x)",
    summary="The text that is written in base64, in the standard alphabet and padded. Bytes that are no UTF-8 become U+FFFD. "
    "Missing where it cannot be read.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_b64decode,
    parses=True,
    examples=(
        Example("encoding.b64decode(x)", {"x": "aGVsbG8gd29ybGQ="}, "hello world"),
        Example("encoding.b64decode(x)", {"x": "w6k="}, "é"),
        Example("encoding.b64decode(x)", {"x": "aGVsbG8gd29ybGQ"}, "missing"),
        Example("encoding.b64decode(x)", {"x": "_-8="}, "missing"),
        Example("encoding.b64decode(x)", {}, "missing"),
    ),
)
