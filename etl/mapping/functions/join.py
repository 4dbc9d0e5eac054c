"""`join(x, .., separator)`: many to one text."""

from __future__ import annotations

from etl.mapping.functions import Example, Function
from etl.mapping.texts import joined

FUNCTION = Function(
    name="join",
    signature="join(x, .., separator)",
    summary="All values and all elements of lists as one text with the separator, always the last argument, between them. "
    "Missing and empty values are left out, empty elements of lists stay.",
    group="text",
    least=2,
    most=None,
    gives="string",
    kernel=joined,
    examples=(
        Example('join(city, country, ", ")', {"city": "Graz", "country": "AT"}, "Graz, AT"),
        Example('join(city, country, ", ")', {"country": "AT"}, "AT"),
        Example('join(x, y, "-")', {"x": ["a", "", 2], "y": False}, "a--2-false"),
        Example('join(x, y, "")', {"x": 1.50, "y": "a"}, "1.5a"),
        Example("join(x, y)", {"x": "a", "y": ","}, "a"),
        Example('join(x, "-")', {}, "missing"),
    ),
)
