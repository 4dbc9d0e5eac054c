"""`emailname(x)`: the name beside an e-mail address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.mail import mailbox
from etl.mapping.web_text import one_text


def _emailname(value: Value) -> str | None:
    text = one_text(value)
    found = mailbox(text) if text else None
    return None if found is None else found[0]


FUNCTION = Function(
    name="emailname",
    signature="emailname(x)",
    summary="The name beside the address in an e-mail text, empty where it has none. Missing where the text is not exactly one address.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_emailname,
    parses=True,
    examples=(
        Example("emailname(x)", {"x": "Ann Lee <ann@shop.example>"}, "Ann Lee"),
        Example("emailname(x)", {"x": "=?utf-8?q?Zo=C3=AB?= <zoe@shop.example>"}, "Zoë"),
        Example("emailname(x)", {"x": "ann@shop.example (Ann)"}, "Ann"),
        Example("emailname(x)", {"x": "ann@shop.example"}, ""),
        Example("emailname(x)", {"x": "Ann <ann@shop"}, "missing"),
        Example("emailname(x)", {}, "missing"),
    ),
)
