"""`evaluate`: one expression on one record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from etl.errors import MappingError
from etl.mapping.check import check_expression
from etl.mapping.interpret import Evaluator, interpreter
from etl.mapping.messages import ExpressionError
from etl.mapping.parser import parse
from etl.mapping.scope import Scope


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing.MISSING


def evaluate(expression: str, record: Mapping[str, Any], time: datetime | None = None) -> Any:
    """The value of `expression` on `record`, before any kind is applied; `MISSING` when there is none.

    `record` is a JSON object as Python values, dates as `datetime` (naive ones are UTC). `time` is its message time,
    which `now()` and date math start from; without it they are missing. The value is text, an exact int, a float, a bool,
    an aware UTC `datetime`, a list or a dict. Raises MappingError, with a caret, for a faulty expression.
    """
    try:
        value = _evaluator(expression)(Scope(_utc(record), None if time is None else _utc(time)))
    except ExpressionError as error:
        raise MappingError(error.render(expression)) from error
    return MISSING if value is None or (isinstance(value, float) and math.isnan(value)) else value


@lru_cache(maxsize=4096)
def _evaluator(expression: str) -> Evaluator:
    node = parse(expression)
    check_expression(node)
    return interpreter(node)


def _utc(value: Any) -> Any:
    """The value with every date in UTC and every tuple a list."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, Mapping):
        return {str(key): _utc(item) for key, item in value.items()}
    return [_utc(item) for item in value] if isinstance(value, list | tuple) else value
