"""`filtermatch(x, pattern, ..)`: only what matches."""

from __future__ import annotations

from etl.mapping.collections import only
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="filtermatch",
    signature="filtermatch(x, pattern, ..)",
    summary="Only what matches a pattern: entries of a map by their key, elements of a list (as texts), or the text itself. "
    "A pattern with `*` or `%` is a glob (`*` stops at `/`, `**` does not), any other a prefix. Missing when nothing is left.",
    group="collections",
    least=2,
    most=None,
    gives="any",
    kernel=only,
    examples=(
        Example('filtermatch(x, "utm_")', {"x": {"utm_a": 1, "b": 2}}, {"utm_a": 1}),
        Example('filtermatch(x, "*.com", "a*")', {"x": ["x.com", "ab", "c"]}, ["x.com", "ab"]),
        Example('filtermatch(x, ["1", "2"])', {"x": [10, 30]}, ["10"]),
        Example('filtermatch(x, "/a/*")', {"x": ["/a/b", "/a/b/c"]}, ["/a/b"]),
        Example('filtermatch(x, "ab")', {"x": "abc"}, "abc"),
        Example('filtermatch(x, "z")', {"x": "abc"}, "missing"),
        Example('filtermatch(x, "a")', {}, "missing"),
    ),
)
