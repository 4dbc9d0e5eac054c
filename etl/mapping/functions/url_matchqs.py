"""`url.matchqs(x, pattern, ..)`: a web address with only some of its parameters."""

from __future__ import annotations

from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function, literal_text
from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call
from etl.mapping.web import parameters, query_string, read_address
from etl.mapping.web_text import one_text, shown


def _matching(names: list[str], pattern: str) -> list[str] | None:
    """The names in which the pattern is found, by RE2 as Arrow has it: linear in time, the syntax that Go knows.

    None for a pattern that is no regular expression.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        matches = pc.match_substring_regex(pa.array([shown(name) for name in names], pa.string()), pattern).to_pylist()
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    return [name for name, matched in zip(names, matches, strict=True) if matched]


def _check(call: Call) -> None:
    for index, argument in enumerate(call.arguments[1:], start=1):
        pattern = literal_text(call, index, 'url.matchqs(url, "^utm_")')
        if not pattern or _matching([""], pattern) is None:
            raise ExpressionError(
                "E204",
                f"{pattern!r} is no regular expression" if pattern else "an empty pattern matches every parameter",
                argument.start,
                argument.end,
                'for example "^utm_"',
            )


def _matchqs(value: Value, *patterns: Value) -> str | None:
    text = one_text(value)
    address = read_address(text) if text else None
    if address is None:
        return None
    found = parameters(address.query) if patterns else {}
    kept: set[str] = set()
    for pattern in patterns:
        matched = _matching(list(found), pattern) if isinstance(pattern, str) and pattern else None
        if matched is None:
            return None
        kept.update(matched)
    query = query_string({name: values for name, values in found.items() if name in kept})
    return address.host + address.path + (f"?{query}" if query else "")


FUNCTION = Function(
    name="url.matchqs",
    signature="url.matchqs(x[, pattern, ..])",
    summary="The host and path of a web address with only the parameters whose name matches one of the regular expressions "
    "anywhere, sorted by name. Without patterns all parameters go.",
    group="web",
    least=1,
    most=None,
    gives="string",
    kernel=_matchqs,
    parses=True,
    check=_check,
    examples=(
        Example('url.matchqs(x, "^utm_", "id$")', {"x": "https://example.com/a?utm_a=1&gclid=2&b=3"}, "example.com/a?gclid=2&utm_a=1"),
        Example('url.matchqs(x, "^utm_")', {"x": "https://example.com/a?b=3"}, "example.com/a"),
        Example("url.matchqs(x)", {"x": "https://example.com/a?b=3"}, "example.com/a"),
        Example("url.matchqs(x)", {"x": "http://not a host"}, "missing"),
        Example('url.matchqs(x, "^utm_")', {}, "missing"),
    ),
)
