"""Text of an expression, or of a whole statement, to tokens. Rules: lql.md 3.1."""

from __future__ import annotations

import re
from dataclasses import dataclass

from etl.mapping.hints import character_hint
from etl.mapping.messages import ExpressionError


@dataclass(frozen=True)
class Token:
    """`kind` is name, quoted, string, number, symbol or end; `value` is the decoded text."""

    kind: str
    value: str
    start: int
    end: int


_NAME = re.compile(r"[^\W\d][\w.\-/]*|@{1,2}[\w.\-/]*")
_DOLLAR = re.compile(r"\$[\w$]*")
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BLANK = re.compile(r"(?:\s+|--[^\n]*|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
# A key in brackets, `[my field]`: words with blanks and nothing else between them. A list of one key is `[key,]`. One word
# right behind another is no key: `map[string]int`.
_BRACKETED = re.compile(r"\[\s*([^\W\d][\w.\-/]*(?:[ \t]+[\w.\-/]+)+)\s*\]|(?<![\w.])\[\s*([^\W\d][\w.\-/]*)\s*\]")
_NO_KEYS = {"or", "and", "not", "in", "intersects", "like", "contains", "between", "is", "exists", "true", "false", "null"}
_SYMBOLS = ("==", "!=", "<>", "<=", ">=", "&&", "||", "=", "<", ">", "+", "-", "*", "/", "%", "!", "(", ")", "[", "]", ",", ".")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`"}


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, an `end` token last. Raises ExpressionError at the first character that fits nothing."""
    found: list[Token] = []
    position = 0
    while True:
        if blank := _BLANK.match(text, position):
            position = blank.end()
        if position >= len(text):
            found.append(Token("end", "", len(text), len(text)))
            return found
        token = _token(text, position)
        found.append(token)
        position = token.end


def _token(text: str, start: int) -> Token:
    character = text[start]
    if character in "\"'":
        return _quoted(text, start, "string")
    if character == "`":
        return _quoted(text, start, "quoted")
    if text.startswith("/*", start):
        raise ExpressionError("E103", "this comment never ends", start, len(text), "add a closing */")
    if character == "[" and (bracketed := _BRACKETED.match(text, start)):
        words = bracketed.group(1) or bracketed.group(2)
        if _NO_KEYS.isdisjoint(words.lower().split()):
            return Token("quoted", words, start, bracketed.end())
    if number := _NUMBER.match(text, start):
        return Token("number", number.group(), start, number.end())
    if name := _NAME.match(text, start):
        return Token("name", name.group(), start, name.end())
    for symbol in _SYMBOLS:
        if text.startswith(symbol, start):
            return Token("symbol", symbol, start, start + len(symbol))
    if character == "$":
        end = key.end() if (key := _DOLLAR.match(text, start)) else start + 1
        raise ExpressionError("E102", "a key with '$' needs back-ticks", start, end, f"write it as `{text[start:end]}`")
    raise ExpressionError("E101", f"unexpected character {character!r}", start, start + 1, character_hint(text, start))


def _quoted(text: str, start: int, kind: str) -> Token:
    quote, position, value = text[start], start + 1, ""
    while position < len(text):
        character = text[position]
        if character == quote and kind == "string" and text.startswith(quote, position + 1):
            value += quote
            position += 2
            continue
        if character == quote:
            return Token(kind, value, start, position + 1)
        if character == "\\" and position + 1 < len(text) and kind == "string":
            following = text[position + 1]
            value += _ESCAPES.get(following, "\\" + following)
            position += 2
            continue
        value += character
        position += 1
    what = "key in back-ticks" if kind == "quoted" else "string"
    raise ExpressionError("E103", f"this {what} never ends", start, len(text), f"add a closing {quote}")
