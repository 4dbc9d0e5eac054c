"""`encoding.b64encode(x)`: a value's text as base64."""

from __future__ import annotations

from base64 import b64encode

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import hashable_bytes


def _b64encode(value: Value) -> str | None:
    content = hashable_bytes(value)
    return None if content is None else b64encode(content).decode()


FUNCTION = Function(
    name="encoding.b64encode",
    signature="encoding.b64encode(x)",
    summary="The text form of a value as base64, in the standard alphabet and padded. Missing for missing and empty values.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_b64encode,
    examples=(
        Example("encoding.b64encode(x)", {"x": "hello world"}, "aGVsbG8gd29ybGQ="),
        Example("encoding.b64encode(x)", {"x": "é"}, "w6k="),
        Example("encoding.b64encode(x)", {"x": True}, "dHJ1ZQ=="),
        Example("encoding.b64encode(x)", {"x": ""}, "missing"),
        Example("encoding.b64encode(x)", {}, "missing"),
    ),
)
