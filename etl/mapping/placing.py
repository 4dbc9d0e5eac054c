"""Where each character of a YAML scalar stands in its file: quotes, escapes, indentation and folded lines lie between."""

from __future__ import annotations

import re

import yaml

# An anchor or a tag stands before the scalar, and belongs to it for PyYAML.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_BLOCK_HEADER = re.compile(r"[|>][^\n]*\n")
_ESCAPE_WIDTHS = {"x": 4, "u": 6, "U": 10}
_BLANKS = {"\n": "n", "\t": "t", "\r": "r", "\v": "v", "\f": "f", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P"}


def offsets_of(node: yaml.ScalarNode, text: str) -> tuple[int, ...]:
    """The offset in `text` of each character of the scalar's value, and last of the place behind it."""
    value, position = str(node.value), int(node.start_mark.index)
    end = int(node.end_mark.index)
    properties = _PROPERTIES.match(text, position, end)
    position = properties.end() if properties else position
    if node.style in ("'", '"'):
        position += 1
    elif node.style in ("|", ">") and (header := _BLOCK_HEADER.match(text, position, end)):
        position = header.end()
    return _Walk(text, position, end, node.style).offsets(value)


class _Walk:
    """Goes along the source and the value side by side. Blanks may be many on one side and few on the other (folding,
    indentation); every other character of the value stands in the source, as itself or as an escape."""

    def __init__(self, text: str, position: int, end: int, style: str | None) -> None:
        self._text, self._position, self._end, self._style = text, position, end, style

    def offsets(self, value: str) -> tuple[int, ...]:
        found: list[int] = []
        behind = self._position
        for character in value:
            if character.isspace() and not self._blank_escape(character):
                found.append(self._position)
                self._position += self._position < self._end and self._text[self._position].isspace()
                continue
            self._skip_blanks()
            found.append(self._position)
            self._position = min(self._position + self._width(), self._end)
            behind = self._position
        return (*found, behind)

    def _blank_escape(self, character: str) -> bool:
        """Whether what comes next, blanks and joined lines aside, is an escape for this blank."""
        before = self._position
        self._skip_blanks()
        written = self._text[self._position : self._position + self._width()]
        self._position = before
        return written in (f"\\{character}", f"\\{_BLANKS.get(character)}") or written.lower() in _by_number(character)

    def _escaped(self) -> bool:
        """Whether an escape stands here that gives a character; a line's last backslash gives none."""
        following = self._text[self._position + 1 : self._position + 2]
        return self._style == '"' and self._text.startswith("\\", self._position) and following not in ("\n", "\r")

    def _skip_blanks(self) -> None:
        text = self._text
        while self._position < self._end:
            joined = self._style == '"' and text.startswith("\\", self._position) and not self._escaped()
            if not joined and not text[self._position].isspace():
                return
            self._position += 1

    def _width(self) -> int:
        if self._escaped():
            return _ESCAPE_WIDTHS.get(self._text[self._position + 1], 2)
        return 2 if self._style == "'" and self._text.startswith("''", self._position) else 1


def _by_number(character: str) -> tuple[str, ...]:
    return tuple(f"\\{letter.lower()}{ord(character):0{width - 2}x}" for letter, width in _ESCAPE_WIDTHS.items())
