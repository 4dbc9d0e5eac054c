"""The kernels of the text functions.

Two readings of a value as text: `text_of` takes all of it (a list is joined by comma, a date is epoch milliseconds),
`single_text` exactly one text (of a list the first element, of a map none, a date in its long form).
"""

from __future__ import annotations

from etl.mapping.conversions import Value, int_of, is_empty, single_text, text_of

_BLANKS = " \n\t\r"


def lower(value: Value) -> str | None:
    text = single_text(value)
    return text if text is None else text.lower() if text.isascii() else "".join(map(_lower, text))


def upper(value: Value) -> str | None:
    text = single_text(value)
    return text if text is None else text.upper() if text.isascii() else "".join(map(_upper, text))


def titled(value: Value) -> str | None:
    """Each word's first letter as a capital. Letters, digits and `_` make a word, so `it's` gives `It'S`."""
    text = single_text(value)
    if text is None:
        return None
    before = [" ", *text]
    return "".join(_title(character) if _separates(previous) else character for previous, character in zip(before, text, strict=False))


def _separates(character: str) -> bool:
    if character.isascii():
        return not (character.isalnum() or character == "_")
    return character.isspace()


# One character stays one character (`ß` has no capital), whatever stands beside it (`Σ` is `σ` at a word's end too).
def _lower(character: str) -> str:
    return character.lower()[0]


def _upper(character: str) -> str:
    capital = character.upper()
    return capital if len(capital) == 1 else _title(character)


def _title(character: str) -> str:
    capital = character.title()
    return capital if len(capital) == 1 else character


def stripped(value: Value) -> str | list[str] | None:
    if isinstance(value, str):
        return value.strip(_BLANKS)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [item.strip(_BLANKS) for item in value]
    return None


def parts(value: Value, separator: Value) -> list[str] | None:
    text, between = single_text(value), single_text(separator)
    return text.split(between) if text and between else None


def joined(*arguments: Value) -> str | None:
    """The last argument is the separator. Empty texts are left out, those inside a list stay."""
    *values, separator = arguments
    between = single_text(separator)
    if between is None:
        return None
    texts: list[str] = []
    for value in values:
        if isinstance(value, list):
            texts += [text for item in value if (text := text_of(item)) is not None]
        elif not isinstance(value, dict) and (text := text_of(value)):
            texts.append(text)
    return between.join(texts) if texts else None


def replaced(value: Value, old: Value, new: Value = None) -> str | None:
    text = text_of(value)
    return None if text is None else text.replace(text_of(old) or "", text_of(new) or "")


def contains(value: Value, part: Value) -> bool | None:
    text, wanted = single_text(value), single_text(part)
    if text is None or wanted is None:
        return False
    return wanted in text if text and wanted else None


def starts(value: Value, prefix: Value) -> bool | None:
    wanted = text_of(prefix)
    return (text_of(value) or "").startswith(wanted) if wanted else None


def ends(value: Value, suffix: Value) -> bool | None:
    wanted = text_of(suffix)
    return (text_of(value) or "").endswith(wanted) if wanted else None


def position(value: Value, part: Value) -> int | None:
    text = None if is_empty(value) else text_of(value)
    at = -1 if text is None else text.find(text_of(part) or "")
    return at if at >= 0 else None


def portion(value: Value, start: Value, *end: Value) -> str | None:
    """The characters from `start` up to `end`; missing where one lies outside or they are the wrong way round."""
    text = None if is_empty(value) else text_of(value)
    first = int_of(start)
    if text is None or first is None:
        return None
    last = int_of(end[0]) if end else len(text)
    return text[first:last] if last is not None and 0 <= first <= last <= len(text) else None


def size(value: Value) -> int | None:
    """Characters of a text, members of a list or map; 0 for everything else that is present."""
    if isinstance(value, str | list | dict):
        return len(value)
    return None if is_empty(value) else 0
