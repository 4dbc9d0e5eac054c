"""`hash.md5(x)`: the MD5 of a value's text."""

from __future__ import annotations

from hashlib import md5

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import hashable_bytes


def _hash(value: Value) -> str | None:
    content = hashable_bytes(value)
    return None if content is None else md5(content).hexdigest()


FUNCTION = Function(
    name="hash.md5",
    signature="hash.md5(x)",
    summary="The MD5 of the text form of a value, in lower-case hexadecimal digits. Missing for missing and empty values.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_hash,
    examples=(
        Example("hash.md5(x)", {"x": "hello"}, "5d41402abc4b2a76b9719d911017c592"),
        Example("hash.md5(x)", {"x": 5}, "e4da3b7fbbce2345d7772b0674a318d5"),
        Example("hash.md5(x)", {"x": ""}, "missing"),
        Example("hash.md5(x)", {}, "missing"),
    ),
)
