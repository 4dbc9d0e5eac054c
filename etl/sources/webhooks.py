"""A file of webhooks, read line by line through a source: records for the mapping, and what was left out, counted.

A source's function takes one webhook and gives the records that it is; it leaves the vendor's members as they are and adds
its own under `added`. What they are called on the other side is the mapping's matter alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.records import masked

Record = dict[str, Any]

ADDED = "added"

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Skipped:
    """A webhook, or a part of it, that is not to be sent on, and why: a word for programs."""

    reason: str


# One webhook to the records that it is.
Source = Callable[[Mapping[str, Any]], Iterable[Record | Skipped]]


@dataclass(frozen=True)
class BadLine:
    """A line that is no JSON object: its number, `not_utf8`, `not_json` or `not_an_object`, and its masked beginning."""

    line: int
    code: str
    text: str


@dataclass
class Taken:
    """What was taken from a file: `lines` that are not blank, the `records` they gave, what was skipped by reason, what is bad."""

    lines: int = 0
    records: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bad: list[BadLine] = field(default_factory=list)


@dataclass(frozen=True)
class Named:
    """Whom a webhook is about: the `people` it names, and their `devices`."""

    people: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()


def texts(*values: Any) -> frozenset[str]:
    """The identifiers among values, as text."""
    return frozenset(str(one) for one in values if isinstance(one, str | int) and not isinstance(one, bool) and str(one))


def records_of(lines: Iterable[tuple[int, bytes]], source: Source, taken: Taken) -> Iterator[tuple[int, Record]]:
    """The records of numbered lines, each with its line. What becomes of every line is counted in `taken`."""
    for number, line in lines:
        taken.lines += 1
        webhook = object_of(line)
        if isinstance(webhook, str):
            taken.bad.append(BadLine(number, webhook, masked(line.decode("utf-8", errors="replace"))))
            continue
        for one in source(webhook):
            if isinstance(one, Skipped):
                taken.skipped[one.reason] += 1
            else:
                taken.records += 1
                yield number, one


def object_of(line: bytes) -> dict[str, Any] | str:
    """The object in a line; the code of what is wrong with it where there is none: see `BadLine`.

    Half a surrogate pair becomes U+FFFD: a vendor that cuts texts in the middle of an emoji writes one, and UTF-8 has none.
    """
    try:
        found = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(found, dict):
        return "not_an_object"
    return {_whole(key): _whole(value) for key, value in found.items()} if _HALF.search(line) else found


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
