"""`tobool(x)`: a bool."""

from __future__ import annotations

from etl.mapping.conversions import bool_of
from etl.mapping.functions import Example, Function

FUNCTION = Function(
    name="tobool",
    signature="tobool(x)",
    summary="A bool: the words 1 t T TRUE true True and 0 f F FALSE false False, and the numbers 1 and 0.",
    group="logic",
    least=1,
    most=1,
    gives="bool",
    kernel=bool_of,
    parses=True,
    examples=(
        Example("tobool(x)", {"x": "True"}, True),
        Example("tobool(x)", {"x": 0}, False),
        Example("tobool(x)", {"x": "yes"}, "missing"),
        Example("tobool(x)", {"x": 2}, "missing"),
        Example("tobool(x)", {}, "missing"),
    ),
)
