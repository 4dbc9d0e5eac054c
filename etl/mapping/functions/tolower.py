"""`tolower(x)`: lower case."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import lower

FUNCTION = Function(
    name="tolower",
    signature="tolower(x)",
    summary="The text in lower case. A list gives its first element.",
    group="text",
    least=1,
    most=1,
    gives="string",
    kernel=lower,
    aliases=("string.lowercase",),
    examples=(
        Example("tolower(x)", {"x": "Ana ÖZ"}, "ana öz"),
        Example("tolower(x)", {"x": True}, "true"),
        Example("tolower(x)", {"x": ["Ab", "Cd"]}, "ab"),
        Example("tolower(x)", {"x": ""}, ""),
        Example("tolower(x)", {"x": {"a": "B"}}, "missing"),
        Example("string.lowercase(x)", {}, "missing"),
    ),
)
