"""JSON values to text and flat keys, in Python: the slow path for shapes that SQL cannot tell apart or cannot say.

The rules are those of lql.md 4: every leaf has one text form; lists of scalars are comma-joined; names join with dots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Json = Any  # what json.loads gives

_DECODER = json.JSONDecoder()


def plain_number(value: float | int) -> str:
    """The shortest decimal text without an exponent: `12.0` is `12`, `1e21` is `1000000000000000000000`."""
    if isinstance(value, int):
        return str(value)
    if value != value or value in (float("inf"), float("-inf")):
        return repr(value)
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def scalar_text(value: Json) -> str | None:
    """The text of a scalar; None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return plain_number(value)
    return str(value)


def is_scalar_list(value: Json) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)


def text_form(value: Json) -> str | None:
    """The text of any value: scalars as they are, lists of scalars joined by comma, other shapes as compact JSON.

    None for null and for the empty list.
    """
    if is_scalar_list(value):
        texts = [text for item in value if (text := scalar_text(item)) is not None]
        return ",".join(texts) if texts else None
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return scalar_text(value)


def flat_items(value: Json, prefix: str | None = None) -> Iterator[tuple[str, Json]]:
    """Flat keys and their leaf values, in the order of the record; nulls, empty objects and empty lists give none.

    A list with an object or list inside gives one key per position: `a[0].b`. An empty name is a name: `{"": {"b": 1}}`
    gives `.b`.
    """
    if isinstance(value, dict):
        for name, member in value.items():
            yield from flat_items(member, name if prefix is None else f"{prefix}.{name}")
    elif isinstance(value, list) and not is_scalar_list(value):
        for position, member in enumerate(value):
            yield from flat_items(member, f"{prefix or ''}[{position}]")
    elif value is not None and (not isinstance(value, list) or text_form(value) is not None):
        yield prefix or "", value


def matched(record: Json, prefixes: list[str]) -> dict[str, Json]:
    """Leaves whose flat key starts with a prefix, under the rest of that key; a later prefix wins, within one prefix
    the first of two clashing keys does."""
    found: dict[str, Json] = {}
    for prefix in prefixes:
        of_prefix: dict[str, Json] = {}
        for key, leaf in flat_items(record):
            if key.startswith(prefix) and key != prefix:
                of_prefix.setdefault(key.removeprefix(prefix), leaf)
        found |= of_prefix
    return found


def loads(text: str) -> Json:
    """JSON text to a value; of two equal keys in one object the first counts, as in the SQL path."""
    return json.loads(text, object_pairs_hook=_first_wins)


def _first_wins(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found
