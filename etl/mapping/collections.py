"""The kernels of the functions on lists and maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.mapping.conversions import Value, int_of, is_empty, text_of
from etl.mapping.globs import like


def element(items: Value, index: Value) -> Value:
    at = int_of(index)
    if at is None or not isinstance(items, list):
        return None
    at += len(items) if at < 0 else 0
    return items[at] if 0 <= at < len(items) else None


def portion(items: Value, start: Value, *end: Value) -> list[Value] | None:
    """The elements from `start` up to `end`; missing where one lies outside or they are the wrong way round."""
    first = int_of(start)
    last = int_of(end[0]) if end else None
    if not isinstance(items, list) or first is None or (end and last is None):
        return None
    count = len(items)
    first += count if first < 0 else 0
    last = count if last is None else last + count if last < 0 else last
    return items[first:last] if 0 <= first < count and first <= last <= count else None


def keys(*maps: Value) -> list[str] | None:
    found = {key for value in maps if isinstance(value, dict) for key in value}
    return sorted(found) or None


def values(value: Value) -> list[str] | None:
    return sorted(set(_entries(value).values())) or None


def inverted(value: Value) -> dict[str, str] | None:
    """Each value as a key; of several keys with one value the smallest stays."""
    swapped = {text: key for key, text in sorted(_entries(value).items(), reverse=True)}
    return dict(sorted(swapped.items())) or None


def _entries(value: Value) -> dict[str, str]:
    """The keys of a map with their values as text; that of null is empty."""
    return {key: text_of(item) or "" for key, item in value.items()} if isinstance(value, dict) else {}


def distinct(value: Value) -> list[str] | None:
    """The distinct texts of a value or of a list's elements, in their order; empty ones are left out."""
    if isinstance(value, dict):
        return None
    texts = [text_of(item) for item in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(text for text in texts if text)) or None


def key_counts(*maps: Value) -> dict[str, int] | None:
    """For each key of the maps with a value that is not empty: in how many of the maps it is."""
    counts: dict[str, int] = {}
    for key in (key for value in maps if isinstance(value, dict) for key, item in value.items() if not is_empty(item)):
        counts[key] = counts.get(key, 0) + 1
    return counts or None


def without(value: Value, *patterns: Value) -> Value:
    """What matches none of the patterns: entries of a map by their key, elements of a list, or the text itself."""
    wanted = _patterns(patterns)
    return _selected(value, lambda text: not any(_hits(pattern, text) for pattern in wanted))


def only(value: Value, *patterns: Value) -> Value:
    """What matches one of the patterns. The empty pattern matches everything but the empty element of a list."""
    wanted = _patterns(patterns)
    by_element = isinstance(value, list)
    return _selected(
        value, lambda text: any((not by_element or text != "") if pattern == "" else _hits(pattern, text) for pattern in wanted)
    )


def _selected(value: Value, keep: Callable[[str], bool]) -> Value:
    if isinstance(value, str):
        return value if value and keep(value) else None
    kept: Any = None
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if keep(key)}
    elif isinstance(value, list):
        kept = [text for item in value if (text := text_of(item)) is not None and keep(text)]
    return kept or None


def _patterns(arguments: tuple[Value, ...]) -> list[str]:
    """Texts and the elements of lists; anything else is no pattern."""
    texts: list[str | None] = []
    for argument in arguments:
        if isinstance(argument, list):
            texts += [text_of(item) for item in argument]
        elif isinstance(argument, str):
            texts.append(argument)
    return [text.replace("%", "*") for text in texts if text is not None]


def _hits(pattern: str, text: str) -> bool:
    """A pattern with a star is a glob, any other is a prefix; the empty one is the empty text."""
    if "*" in pattern:
        return bool(like(text, pattern))
    return text.startswith(pattern) if pattern else text == ""
