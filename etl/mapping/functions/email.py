"""`email(x)`: the address of an e-mail text, lower case."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.mail import mailbox
from etl.mapping.web_text import lowered, one_text


def _email(value: Value) -> str | None:
    text = one_text(value)
    found = mailbox(text) if text else None
    return None if found is None else lowered(found[1])


FUNCTION = Function(
    name="email",
    signature="email(x)",
    summary="The e-mail address in a text, lower case and without the name beside it. Missing where the text is not "
    "exactly one address; of a list the first element counts.",
    group="web",
    least=1,
    most=1,
    gives="string",
    kernel=_email,
    parses=True,
    examples=(
        Example("email(x)", {"x": "Ann Lee <Ann.Lee@Shop.example>"}, "ann.lee@shop.example"),
        Example("email(x)", {"x": " ann@shop.example (Ann) "}, "ann@shop.example"),
        Example("email(x)", {"x": ["ann@a.example", "bo@b.example"]}, "ann@a.example"),
        Example("email(x)", {"x": "ann@a.example, bo@b.example"}, "missing"),
        Example("email(x)", {"x": "Ann <ann>"}, "missing"),
        Example("email(x)", {}, "missing"),
    ),
)
