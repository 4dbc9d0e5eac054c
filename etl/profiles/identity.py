"""Identity: which identifiers are one person, as a pure function of the links between them.

Profiles are connected components over identifiers `(namespace, value)`, with one refusal: two identifiers of the first
(exclusive) namespace never share a profile. In a component that holds at most one exclusive identifier nothing can be
refused, so the component is the profile; in any other, links are followed in the order (trust, first seen, value).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """Links between identifiers, given by their codes `0..n-1`. `left` is the more trusted end.

    `rank[code]` is the identifier's place in the order of trust (0: exclusive). `first` are the links' first seen
    times as integers. Codes are numbered so that a smaller code stands for the smaller (namespace rank, value).
    """

    rank: Codes
    left: Codes
    right: Codes
    first: Codes


@dataclass(frozen=True)
class Resolution:
    """`component[code]` over all links, refused ones included; `profile[code]` over the followed ones (labels only, not
    ids); `refused` are the places of refused links."""

    component: Codes
    profile: Codes
    refused: list[int]


def resolve(links: Links) -> Resolution:
    """Components and profiles. Linear but for components with several exclusive identifiers, whose links are sorted."""
    size = len(links.rank)
    component = components(size, links.left, links.right)
    exclusives = np.bincount(component, weights=(links.rank == 0), minlength=1) if size else np.zeros(1)
    contested = exclusives > 1
    profile = component.copy()
    if not contested.any():
        return Resolution(component, profile, [])
    nodes = np.flatnonzero(contested[component])
    places = np.flatnonzero(contested[component[links.left]]) if len(links.left) else np.zeros(0, dtype=np.int64)
    sets, refused = _follow(links, nodes.tolist(), _in_order(links, places))
    for node in nodes.tolist():
        # Labels of the split parts must not meet those of whole components, which are below `size`.
        profile[node] = size + sets.root(node)
    return Resolution(component, profile, refused)


def components(size: int, left: Codes, right: Codes) -> Codes:
    """The connected component of each of `size` nodes, as a label."""
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    graph = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _in_order(links: Links, places: Codes) -> list[int]:
    left, right = links.left[places], links.right[places]
    order = np.lexsort((right, left, links.first[places], links.rank[right], links.rank[left]))
    found: list[int] = places[order].tolist()
    return found


def _follow(links: Links, nodes: Iterable[int], ordered: Sequence[int]) -> tuple[_Sets, list[int]]:
    rank = links.rank
    sets = _Sets({node: node if rank[node] == 0 else None for node in nodes})
    refused = [place for place in ordered if not sets.join(int(links.left[place]), int(links.right[place]))]
    return sets, refused


class _Sets:
    """Union-find in which a set holds at most one exclusive identifier."""

    def __init__(self, exclusive: dict[int, int | None]) -> None:
        self._parent = {node: node for node in exclusive}
        self._size = dict.fromkeys(exclusive, 1)
        self._exclusive = exclusive

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def join(self, one: int, other: int) -> bool:
        """Joins two sets; False, and nothing joined, when both hold an exclusive identifier of their own."""
        first, second = self.root(one), self.root(other)
        if first == second:
            return True
        held = (self._exclusive[first], self._exclusive[second])
        if None not in held:
            return False
        if self._size[first] < self._size[second]:
            first, second = second, first
        self._parent[second] = first
        self._size[first] += self._size[second]
        self._exclusive[first] = held[0] if held[0] is not None else held[1]
        return True
