"""One e-mail address in text: `ann@a.example`, `Ann <ann@a.example>`, `ann@a.example (Ann)`; RFC 5322 with UTF-8.

The grammar is that of the engine of lql.md, which libraries for addresses differ from: it takes hosts without a dot and
names with almost anything in them, but no lists, and no domain that starts or ends with a dot.
"""

from __future__ import annotations

import binascii
import ipaddress
import re

from etl.mapping.web_text import base64_bytes, readable

_BLANKS = re.compile(r"[ \t]*")
_ATOM = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+")  # dots included
_QUOTED = re.compile(r'"((?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f])*)"')
_LITERAL_DOMAIN = re.compile(r"\[([^\x00-\x20\x7f\[\]\\]*)\]")
_ENCODED = re.compile(r"=\?([^?]+)\?([^?])\?([^?]*)\?=")
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9A-Fa-f]{2}|[ -<>-~\t\r\n])*")


class _Unreadable(Exception):
    """The text is no single address."""


def mailbox(text: str) -> tuple[str, str] | None:
    """The display name (may be empty) and the address of the one mailbox in the text, None for anything else."""
    reader = _Reader(text)
    try:
        found = reader.mailbox(may_be_group=True)
        reader.skip_comments()
    except _Unreadable:
        return None
    return found if reader.at == len(text) else None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def mailbox(self, may_be_group: bool) -> tuple[str, str]:
        self.skip_blanks()
        start = self.at
        try:
            address = self.address()
        except _Unreadable:
            self.at = start
        else:
            self.skip_blanks()
            return (_plain_words(self.comment()) if self.sees("(") else ""), address
        name = "" if self.sees("<") else self.phrase()
        self.skip_blanks()
        if may_be_group and self.took(":"):
            return self.group()
        self.take("<")
        address = self.address()
        self.take(">")
        return name, address

    def group(self) -> tuple[str, str]:
        """`Friends: ann@a.example;`, a group of one."""
        found = self.mailbox(may_be_group=False)
        self.skip_comments()
        self.take(";")
        return found

    def address(self) -> str:
        self.skip_blanks()
        local = self.quoted() if self.sees('"') else self.dotted()
        if not local:
            raise _Unreadable
        self.take("@")
        self.skip_blanks()
        return f"{local}@{self.literal_domain() if self.sees('[') else self.dotted()}"

    def dotted(self) -> str:
        text = self.matched(_ATOM)[0]
        if not all(text.split(".")):
            raise _Unreadable
        return text

    def quoted(self) -> str:
        return re.sub(r"\\(.)", r"\1", self.matched(_QUOTED)[1])

    def literal_domain(self) -> str:
        inside = self.matched(_LITERAL_DOMAIN)[1]
        try:
            number = ipaddress.ip_address(inside.removeprefix("IPv6:"))
        except ValueError:
            raise _Unreadable from None
        is_4 = number.version == 4 or (isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is not None)
        if "%" in inside or not (is_4 or inside.startswith("IPv6:")):
            raise _Unreadable
        return f"[{inside}]"

    def phrase(self) -> str:
        """The words of a display name; encoded words that follow each other are one."""
        words: list[str] = []
        encoded_before = False
        while self.at < len(self.text):
            if words:
                self.skip_comments()
            try:
                word, is_encoded = (self.quoted(), False) if self.sees('"') else _plain(self.matched(_ATOM)[0])
            except _Unreadable:
                break
            if encoded_before and is_encoded:
                words[-1] += word
            else:
                words.append(word)
            encoded_before = is_encoded
        if not words:
            raise _Unreadable
        return " ".join(words)

    def comment(self) -> str:
        """The inside of a comment; comments nest, a backslash takes the next character as it is."""
        self.take("(")
        inside: list[str] = []
        depth = 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\" and self.at + 1 < len(self.text):
                self.at += 1
                character = self.text[self.at]
            else:
                depth += {"(": 1, ")": -1}.get(character, 0)
            self.at += 1
            if depth == 0:
                return "".join(inside)
            inside.append(character)
        raise _Unreadable

    def skip_comments(self) -> None:
        self.skip_blanks()
        while self.sees("("):
            self.comment()
            self.skip_blanks()

    def skip_blanks(self) -> None:
        self.matched(_BLANKS)

    def matched(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if not found:
            raise _Unreadable
        self.at = found.end()
        return found

    def sees(self, character: str) -> bool:
        return self.text.startswith(character, self.at)

    def took(self, character: str) -> bool:
        if self.sees(character):
            self.at += 1
            return True
        return False

    def take(self, character: str) -> None:
        if not self.took(character):
            raise _Unreadable


def _plain_words(text: str) -> str:
    return " ".join(_plain(word)[0] for word in re.split(r"[ \t]+", text) if word)


def _plain(word: str) -> tuple[str, bool]:
    """An encoded word (`=?utf-8?q?Zo=C3=AB?=`) decoded, other words as they are; and which of the two it was."""
    found = _ENCODED.fullmatch(word)
    content = _content(found[2], found[3]) if found else None
    if found is None or content is None:
        return word, False
    match found[1].lower():
        case "utf-8":
            return readable(content), True
        case "iso-8859-1":
            return content.decode("latin-1"), True
        case "us-ascii":
            return "".join(chr(byte) if byte < 128 else "\ufffd" for byte in content), True
    raise _Unreadable


def _content(encoding: str, text: str) -> bytes | None:
    if encoding in "Bb":
        return base64_bytes(text)
    if encoding in "Qq" and _QUOTED_PRINTABLE.fullmatch(text):
        return binascii.a2b_qp(text, header=True)
    return None
