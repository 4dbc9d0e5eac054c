"""Text in and out of the functions that read addresses or bytes: one text of a value, its bytes, its escapes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from etl.mapping.conversions import Value, is_empty, text_of

_NO_UTF8 = re.compile("[\udc80-\udcff]")
_NOT_HEXADECIMAL = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def guarded(conversion: Callable[[Value], str | None], value: Value) -> str | None:
    """A text by `single_text` or `text_of`; None also where the value has none."""
    try:
        return conversion(value)
    except (TypeError, ValueError, RecursionError):  # an object that JSON cannot say, an int of thousands of digits
        return None


def any_text(value: Value) -> str | None:
    """The text form of any value."""
    return guarded(text_of, value)


def hashable_bytes(value: Value) -> bytes | None:
    """The bytes of a value's text form; None for missing and empty values."""
    text = None if is_empty(value) else any_text(value)
    return None if text is None else utf8(text)


def one_text(value: Value) -> str | None:
    """The text itself, or the first element of a list; None where that is empty, and for values of other types."""
    first = value[0] if isinstance(value, list) and value else None
    text = value if isinstance(value, str) else any_text(first)
    return utf8(text).decode() if text else None


def listed_texts(values: tuple[Value, ...]) -> list[str]:
    """All texts of several arguments, lists of texts taken apart; lists that hold other things count as nothing."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            found.extend(value)
    return found


def utf8(text: str) -> bytes:
    """The text's bytes. Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def readable(content: bytes) -> str:
    """UTF-8 as text; each byte that is none becomes U+FFFD."""
    return shown(content.decode("utf-8", "surrogateescape"))


def lowered(text: str) -> str:
    """Lower case, each character for itself (`str.lower` makes two of `İ` and looks at a sigma's neighbours)."""
    return text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)


def unescaped(text: str) -> str | None:
    """`%C3%A9` is `é`; None where a percent sign stands without two hexadecimal digits."""
    content = _unescaped_bytes(text)
    return None if content is None else readable(content)


def _unescaped_bytes(text: str) -> bytes | None:
    if _NOT_HEXADECIMAL.search(text):
        return None
    first, *others = utf8(text).split(b"%")
    return first + b"".join(bytes((int(piece[:2], 16),)) + piece[2:] for piece in others)


def form_unescaped(text: str) -> str | None:
    """As `unescaped`, and `+` is a blank, the way forms and query strings are written. Bytes that are no UTF-8 are kept
    as surrogates, so that they can be escaped again; `shown` replaces them."""
    content = _unescaped_bytes(text.replace("+", " "))
    return None if content is None else content.decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """Text without surrogates: what was no UTF-8 becomes U+FFFD."""
    return _NO_UTF8.sub("\ufffd", text)


def base64_bytes(text: str) -> bytes | None:
    """The bytes of base64 in the standard alphabet, padded; line breaks are skipped. None for anything else."""
    joined = text.replace("\r", "").replace("\n", "")
    return base64.b64decode(joined) if _BASE64.fullmatch(joined) else None
