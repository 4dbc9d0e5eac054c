"""`hash.sha512(x)`: the SHA-512 of a value's text."""

from __future__ import annotations

from hashlib import sha512

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import hashable_bytes


def _hash(value: Value) -> str | None:
    content = hashable_bytes(value)
    return None if content is None else sha512(content).hexdigest()


FUNCTION = Function(
    name="hash.sha512",
    signature="hash.sha512(x)",
    summary="The SHA-512 of the text form of a value, in lower-case hexadecimal digits. Missing for missing and empty values.",
    group="hashing",
    least=1,
    most=1,
    gives="string",
    kernel=_hash,
    examples=(
        Example(
            "hash.sha512(x)",
            {"x": "hello"},
            "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7"
            "2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
        ),
        Example(
            "hash.sha512(x)",
            {"x": 5},
            "06df05371981a237d0ed11472fae7c94c9ac0eff1d05413516710d17b10a4fb6"
            "f4517bda4a695f02d0a73dd4db543b4653df28f5d09dab86f92ffb9b86d01e25",
        ),
        Example("hash.sha512(x)", {"x": ""}, "missing"),
        Example("hash.sha512(x)", {}, "missing"),
    ),
)
