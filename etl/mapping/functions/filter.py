"""`filter(x, pattern, ..)`: without what matches."""

from __future__ import annotations

from etl.mapping.collections import without
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="filter",
    signature="filter(x, pattern, ..)",
    summary="Without what matches a pattern: entries of a map by their key, elements of a list (as texts), or the text "
    "itself. A pattern with `*` or `%` is a glob (`*` stops at `/`, `**` does not), any other a prefix. Missing when nothing is left.",
    group="collections",
    least=2,
    most=None,
    gives="any",
    kernel=without,
    examples=(
        Example('filter(x, "utm_")', {"x": {"utm_a": 1, "b": 2}}, {"b": 2}),
        Example('filter(x, "*.com", "a*")', {"x": ["x.com", "ab", "c"]}, ["c"]),
        Example('filter(x, ["1", "2"])', {"x": [10, 30]}, ["30"]),
        Example('filter(x, "/a/*")', {"x": ["/a/b", "/a/b/c"]}, ["/a/b/c"]),
        Example('filter(x, "ab")', {"x": "abc"}, "missing"),
        Example('filter(x, "z")', {"x": "abc"}, "abc"),
        Example('filter(x, "a")', {}, "missing"),
    ),
)
