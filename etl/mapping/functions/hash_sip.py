"""`hash.sip(x)`: a text as a 64-bit number."""

from __future__ import annotations

from siphashc import siphash

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import one_text, utf8

_KEY = (0).to_bytes(8, "little") + (1).to_bytes(8, "little")


def _sip(value: Value) -> int | None:
    text = one_text(value)
    if text is None:
        return None
    number = siphash(_KEY, utf8(text))
    return number - 2**64 if number >= 2**63 else number


FUNCTION = Function(
    name="hash.sip",
    signature="hash.sip(x)",
    summary="The SipHash-2-4 of a text as a signed 64-bit int, always under the same key; of a list the first element counts. "
    "Missing for empty text and for numbers.",
    group="hashing",
    least=1,
    most=1,
    gives="int",
    kernel=_sip,
    aliases=("hash",),
    examples=(
        Example("hash.sip(x)", {"x": "/blog/index.html"}, -447731768767783999),
        Example("hash.sip(x)", {"x": ["/blog/index.html", "b"]}, -447731768767783999),
        Example("hash.sip(x)", {"x": 5}, "missing"),
        Example("hash.sip(x)", {"x": ""}, "missing"),
        Example("hash.sip(x)", {}, "missing"),
    ),
)
