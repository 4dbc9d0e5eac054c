"""`hash.sha1(x)`: the SHA-1 of a value's text."""

from __future__ import annotations

from hashlib import sha1

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import hashable_bytes


def _hash(value: Value) -> str | None:
    content = hashable_bytes(value)
    return None if content is None else sha1(content).hexdigest()


FUNCTION = Function(
    name="hash.sha1",
    signature="hash.sha1(x)",
    summary="The SHA-1 of the text form of a value, in lower-case hexadecimal digits. Missing for missing and empty values.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_hash,
    examples=(
        Example("hash.sha1(x)", {"x": "hello"}, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        Example("hash.sha1(x)", {"x": 5}, "ac3478d69a3c81fa62e60f5c3696165a4e5e6ac4"),
        Example("hash.sha1(x)", {"x": ""}, "missing"),
        Example("hash.sha1(x)", {}, "missing"),
    ),
)
