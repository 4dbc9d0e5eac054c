"""`hash.sha256(x)`: the SHA-256 of a value's text."""

from __future__ import annotations

from hashlib import sha256

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import hashable_bytes


def _hash(value: Value) -> str | None:
    content = hashable_bytes(value)
    return None if content is None else sha256(content).hexdigest()


FUNCTION = Function(
    name="hash.sha256",
    signature="hash.sha256(x)",
    summary="The SHA-256 of the text form of a value, in lower-case hexadecimal digits. Missing for missing and empty values.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_hash,
    examples=(
        Example("hash.sha256(x)", {"x": "hello"}, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        Example("hash.sha256(x)", {"x": 5}, "ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d"),
        Example("hash.sha256(x)", {"x": ""}, "missing"),
        Example("hash.sha256(x)", {}, "missing"),
    ),
)
