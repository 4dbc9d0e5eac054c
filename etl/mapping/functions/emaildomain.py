"""`emaildomain(x)`: the domain of an e-mail address."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.mail import mailbox
from etl.mapping.web_text import lowered, one_text


def _emaildomain(value: Value) -> str | None:
    text = one_text(value)
    found = mailbox(lowered(text)) if text else None
    return None if found is None else found[1].partition("@")[2]


FUNCTION = Function(
    name="emaildomain",
    signature="emaildomain(x)",
    summary="The part after the @ of the address in an e-mail text, lower case. Missing where the text is not exactly one address.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_emaildomain,
    parses=True,
    examples=(
        Example("emaildomain(x)", {"x": "Ann <Ann@Shop.example>"}, "shop.example"),
        Example("emaildomain(x)", {"x": "ann@localhost"}, "localhost"),
        Example("emaildomain(x)", {"x": "mailto:ann@shop.example"}, "missing"),
        Example("emaildomain(x)", {"x": 5}, "missing"),
        Example("emaildomain(x)", {}, "missing"),
    ),
)
