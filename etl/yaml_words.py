"""What is wrong with a file that is no YAML, in words of the file. PyYAML's own speak of its parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

_KEY = re.compile(r"[{,]\s*(?:- +)?([\w.-]+):[ \t]+|^[ \t]*(?:- +)*([\w.-]+):[ \t]+", re.MULTILINE)
_FITS_NOTHING = "this line fits nothing above it"
_COLUMNS = "lines that belong together begin in the same column, and each item of a list has its own '-'"
_BACKSLASH = "inside double quotes write \\\\ for a backslash, or use single quotes"
_COMMA = "a comma ends the value inside { }"


@dataclass(frozen=True)
class YamlFault:
    """A message, the offset it is about (None: the file as a whole), a hint."""

    message: str
    start: int | None
    hint: str | None = None


def yaml_fault(error: yaml.YAMLError, text: str) -> YamlFault:
    """What `error`, which came of composing `text`, means to whoever wrote it."""
    if not isinstance(error, yaml.MarkedYAMLError):
        position = getattr(error, "position", None)
        return YamlFault("YAML allows no such character", position, "save the file as UTF-8 text")
    mark = error.problem_mark or error.context_mark
    place = mark.index if mark else None
    for found in _readings(error, text) if place is not None else ():
        return found
    return YamlFault(f"this is not YAML: {error.problem or error.context}", place)


def in_quotes(key: str, value: str) -> str:
    """How to write a value so that nothing in it means anything to YAML."""
    quoted = value.replace("'", "''")
    return f"{key}: '{quoted}'"


def value_at(text: str, start: int, *, flow: bool) -> str:
    """The whole of a value that begins at `start`: to its line's end, in { } to the comma or brace that belongs to no
    bracket or quote of it."""
    depth, quote, position = 0, "", start
    for position in range(start, len(text) + 1):
        character = text[position : position + 1]
        if not character or character == "\n":
            break
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]" and depth:
            depth -= 1
        elif flow and depth == 0 and character in ",}":
            break
    return text[start:position].strip()


def comma_fault(text: str, key: str, start: int, comma: int) -> YamlFault:
    """A comma that was to separate arguments, in a value of { } that begins at `start`."""
    return YamlFault(_COMMA, comma, f"put the expression in single quotes: {in_quotes(key, value_at(text, start, flow=True))}")


def _readings(error: yaml.MarkedYAMLError, text: str) -> Iterator[YamlFault]:
    problem, context = str(error.problem or ""), str(error.context or "")
    place = (error.problem_mark or error.context_mark).index  # type: ignore[union-attr]
    opened = error.context_mark.index if error.context_mark else None
    if found := re.match(r"found character '(.+)' that cannot start", problem):
        yield _odd_character(found.group(1), text, place)
    if context == "while scanning a quoted scalar" and opened is not None:
        yield YamlFault("this quote is never closed", opened, f"add a closing {text[opened]}")
    if problem.startswith("found unknown escape"):
        yield YamlFault(
            "this escape means nothing to YAML", place - 1, "inside double quotes write \\\\ for a backslash, or use single quotes"
        )
    if opened is not None and context in ("while parsing a flow mapping", "while parsing a flow sequence"):
        yield from _in_braces(problem, text, opened, place)
    if "found undefined alias" in problem or context in (
        "while scanning an alias",
        "while scanning an anchor",
        "while scanning a block scalar",
    ):
        first = text[_value_start(text, place)[1] :][:1]  # nothing, where the file is a sign alone
        yield from _needs_quotes(text, place, f"a value that starts with {first} needs quotes", flow=False)
    if "another document" in problem:
        yield YamlFault("a file holds one document", place, "leave out the --- and what follows, or write a second file")
    if problem == "mapping values are not allowed here":
        yield from _second_colon(text, place)
    if "but found '<scalar>'" in problem:
        behind = "text stands behind the closing quote" if text[place - 1 : place] in "'\" " else "brackets begin a list"
        yield from _needs_quotes(text, place, behind, flow=False)
    if found := re.search(r"but found '([}\]])'", problem):
        yield YamlFault(f"there is a {found.group(1)} too many", place)
    if "expected <block end>" in problem or context == "while scanning a simple key":
        yield YamlFault(_FITS_NOTHING, place if "block end" in problem or opened is None else opened, _COLUMNS)


def _odd_character(character: str, text: str, place: int) -> YamlFault:
    if character == "\\t":
        return YamlFault("a tab stands where blanks are expected", place, "YAML is indented with blanks")
    message = f"a value that starts with {character} needs quotes"
    flow = text.rfind("{", 0, place) > text.rfind("\n", 0, place)
    return next(_needs_quotes(text, place, message, flow=flow), YamlFault(message, place))


def _in_braces(problem: str, text: str, opened: int, place: int) -> Iterator[YamlFault]:
    line = text.rfind("\n", 0, place) + 1
    new_line = line > opened and re.fullmatch(r"\s*(- *)?[\w.-]*", text[line:place]) is not None
    if "<stream end>" in problem or new_line:
        closing = "}" if text[opened] == "{" else "]"
        ahead = None if "<stream end>" in problem else f"line {text.count(chr(10), 0, place) + 1} begins something new"
        yield YamlFault(f"this {text[opened]} is never closed", opened, ahead or f"add a closing {closing}")
    elif "got ':'" in problem and not text[_value_start(text, place)[1] :].startswith("!"):
        yield YamlFault("a comma is missing before this key, or a value that holds ': ' is not in quotes", place)
    elif text[opened] == "{":
        start = _value_start(text, place)[1]
        value = value_at(text, start, flow=True)
        if value[:1] in ("!", "*", "&"):
            message, place = f"a value that starts with {value[0]} needs quotes", start
        elif value[:1] in ("'", '"'):
            message = "text stands behind the closing quote"
        elif "," in value and "got '['" not in problem:
            message, place = _COMMA, text.index(",", start)
        else:
            message = "brackets begin a list inside { }"
        yield from _needs_quotes(text, place, message, flow=True)


def _second_colon(text: str, place: int) -> Iterator[YamlFault]:
    line = text.rfind("\n", 0, place) + 1
    if ": " in text[line:place]:
        yield from _needs_quotes(text, line + text[line:place].index(": ") + 2, "a value that holds ': ' needs quotes", flow=False)
    above = text[:line].rstrip()
    start = above.rfind("\n") + 1
    if unspaced := re.match(r"\s*(?:- )?[\w.-]+:(?=[^\s:])", above[start:]):
        yield YamlFault("a blank is missing behind this ':'", start + unspaced.end() - 1)
    yield YamlFault(_FITS_NOTHING, line + len(text[line:place]) - len(text[line:place].lstrip()), _COLUMNS)


def _needs_quotes(text: str, place: int, message: str, *, flow: bool) -> Iterator[YamlFault]:
    """The fault with the value that stands at `place` in quotes; nothing where no key stands before it."""
    key, start = _value_start(text, place)
    if key:
        value = value_at(text, start, flow=flow)
        yield YamlFault(message, place, f"put the whole value in single quotes: {in_quotes(key, value)}")


def _value_start(text: str, place: int) -> tuple[str, int]:
    """The key whose value holds `place`, and where that value begins."""
    found = None
    for found in _KEY.finditer(text[: place + 1]):  # noqa: B007 (the last one counts)
        pass
    return (found.group(1) or found.group(2), found.end()) if found else ("", place)
