"""Cutting a sequence into groups that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def groups_of(items: Iterable[T], size_of: Callable[[T], int], *, most_items: int, most_size: int) -> Iterator[list[T]]:
    """Groups in the order of the items, each of at most so many and of at most that size together; an item that is larger
    comes alone. Items are read no further than the group that is asked for needs."""
    group: list[T] = []
    size = 0
    for item in items:
        own = size_of(item)
        if group and (len(group) >= most_items or size + own > most_size):
            yield group
            group, size = [], 0
        group.append(item)
        size += own
    if group:
        yield group
