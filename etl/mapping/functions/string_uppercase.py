"""`string.uppercase(x)`: capitals."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import upper

FUNCTION = Function(
    name="string.uppercase",
    signature="string.uppercase(x)",
    summary="The text in capitals. A list gives its first element; a letter without a capital (`ß`) stays.",
    group="text",
    least=1,
    most=1,
    gives="string",
    kernel=upper,
    examples=(
        Example("string.uppercase(x)", {"x": "ana öz"}, "ANA ÖZ"),
        Example("string.uppercase(x)", {"x": "straße"}, "STRAßE"),
        Example("string.uppercase(x)", {"x": 1.50}, "1.5"),
        Example("string.uppercase(x)", {"x": ""}, ""),
        Example("string.uppercase(x)", {"x": []}, "missing"),
        Example("string.uppercase(x)", {}, "missing"),
    ),
)
