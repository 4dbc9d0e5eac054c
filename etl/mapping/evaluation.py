"""`evaluate`: one expression on one record, through the same compiled path that loads take."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final

from etl.engines.local import arrow, connect
from etl.engines.sql import quote
from etl.errors import MappingError
from etl.mapping import udfs
from etl.mapping.check import check_expression
from etl.mapping.compile import Compiler, Form
from etl.mapping.messages import ExpressionError
from etl.mapping.parser import parse


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing.MISSING

_thread = threading.local()


def evaluate(expression: str, record: Mapping[str, Any], time: datetime | None = None) -> Any:
    """The value of `expression` on `record`, before any kind is applied; `MISSING` when there is none.

    Dates are aware `datetime`s in UTC, maps are dicts, ints are exact. `time` is the record's message time (no function
    reads it yet). Raises MappingError, with a caret, for a faulty expression.
    """
    try:
        node = parse(expression)
        check_expression(node)
        compiler = Compiler(keep_types=True)
        made = compiler.compile(node)
    except ExpressionError as error:
        raise MappingError(error.render(expression)) from error
    spec = quote(json.dumps(compiler.columns or {"_": "VARCHAR"}, ensure_ascii=False))
    query = f"WITH parsed AS (SELECT text, from_json(text, {spec}) AS r FROM (SELECT $1 AS text)) SELECT {made.text} AS v FROM parsed"
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    value = arrow(_connection(), query, [text]).column("v")[0].as_py()
    if value is None:
        return MISSING
    if made.form is Form.JSON:
        return json.loads(value)
    if made.form is Form.JSON_MAP:
        return {key: json.loads(item) for key, item in value}
    if made.form in (Form.COUNT_MAP, Form.TEXT_MAP):
        return dict(value)
    return value


def _connection() -> Any:
    if not hasattr(_thread, "connection"):
        _thread.connection = connect()
        udfs.register(_thread.connection)
    return _thread.connection
