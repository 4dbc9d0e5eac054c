"""Where a field of an event stands: `user.plan` nests, `events[0].data` is the first member of a list.

The notation is that of the flat keys that `match` reads (lql.md 4), the other way round.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

Path = tuple[str | int, ...]

_PART = re.compile(r"([^.\[\]]+)((?:\[(?:0|[1-9]\d?)\])*)")


def path_of(name: str) -> Path | None:
    """The steps of a name; None where it is none."""
    steps: list[str | int] = []
    for part in name.split("."):
        found = _PART.fullmatch(part)
        if found is None:
            return None
        steps += [found[1], *(int(number) for number in re.findall(r"\d+", found[2]))]
    return tuple(steps)


def contradiction(paths: Iterable[tuple[Path, bool]]) -> tuple[Path, str] | None:
    """The first path that cannot stand beside those before it, and why. A path comes with whether its value is an object,
    which others may reach into."""
    shapes: dict[Path, str] = {}
    lists: dict[Path, int] = {}
    for path, is_object in paths:
        for depth in range(1, len(path) + 1):
            leaf = "an object" if is_object else "a value"
            shape = leaf if depth == len(path) else "an object" if isinstance(path[depth], str) else "a list"
            if shapes.setdefault(path[:depth], shape) != shape:
                return path, f"{written(path[:depth])} is {shapes[path[:depth]]} already"
            step = path[depth - 1]
            if isinstance(step, int):
                count = lists.get(path[: depth - 1], 0)
                if step > count:
                    return path, f"{written(path[: depth - 1])} has no member {count} yet"
                lists[path[: depth - 1]] = max(count, step + 1)
    return None


def written(path: Path) -> str:
    """The name of a path."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def nested(values: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """The object with these values in their places. What reaches into another's object is written over it, in any order.

    A list whose members have no value at all holds empty objects in their place.
    """
    root: dict[str, Any] = {}
    for path, value in sorted(values, key=lambda one: len(one[0])):
        place: Any = root
        for step, following in itertools.pairwise(path):
            place = _inner(place, step, [] if isinstance(following, int) else {})
        last = path[-1]
        if isinstance(last, int):
            _extend(place, last)
        place[last] = dict(value) if isinstance(value, dict) else value
    return root


def _inner(place: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, int):
        _extend(place, step)
        if place[step] is None or (place[step] == {} and empty == []):
            place[step] = empty
        return place[step]
    return place.setdefault(step, empty)


def _extend(place: list[Any], position: int) -> None:
    place.extend({} for _ in range(position + 1 - len(place)))
