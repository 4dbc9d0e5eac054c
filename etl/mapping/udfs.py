"""The Arrow functions that compiled mappings call where SQL has no form. Each takes and gives whole columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from etl.mapping import values
from etl.mapping.conversions import single_text, text_of
from etl.mapping.dates import time_of
from etl.mapping.fitting import as_text, fitted
from etl.mapping.interpret import interpreter_of
from etl.mapping.kinds import KINDS
from etl.mapping.scope import Scope

_MAP = "MAP(VARCHAR, VARCHAR)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_form(json_text: str) -> str | None:
    """JSON text of one value to its text form."""
    return text_of(values.loads(json_text))


def first_text(json_text: str) -> str | None:
    """JSON text of one value to the text of it, or of its first element."""
    return single_text(values.loads(json_text))


def date_text(text: str) -> str | None:
    """A text without a layout to its instant, in ISO form."""
    moment = time_of(text, None)
    return None if moment is None else moment.isoformat()


def flatten_text(record: str, prefixes: str) -> list[tuple[str, str]] | None:
    """`match` with the values as text; None when nothing matched. `prefixes` is a JSON list."""
    found = values.matched(values.loads(record), json.loads(prefixes))
    texts = [(key, text) for key, leaf in found.items() if (text := values.text_form(leaf)) is not None]
    return texts or None


def count_values(json_list: str) -> list[tuple[str, str]] | None:
    """A JSON list to its members' texts and how often each occurs; empty texts and nulls do not count."""
    counts: dict[str, int] = {}
    for member in values.loads(json_list):
        if text := values.text_form(member):
            counts[text] = counts.get(text, 0) + 1
    return [(text, str(count)) for text, count in counts.items()] or None


def register(connection: Any) -> None:
    """Makes the functions known to a DuckDB connection under the prefix `pm_`."""
    as_map = pa.map_(pa.string(), pa.string())
    _register(connection, "pm_text_of", lambda one: _over(text_form, pa.string(), one), 1, "VARCHAR")
    _register(connection, "pm_single_text", lambda one: _over(first_text, pa.string(), one), 1, "VARCHAR")
    _register(connection, "pm_date", lambda one: _over(date_text, pa.string(), one), 1, "VARCHAR")
    _register(connection, "pm_flatten_text", lambda one, other: _over(flatten_text, as_map, one, other), 2, _MAP)
    _register(connection, "pm_count_values", lambda one: _over(count_values, as_map, one), 1, _MAP)
    _register(connection, "pm_scalar", lambda *four: _interpreted(_scalar, pa.string(), *four), 4, "VARCHAR")
    _register(connection, "pm_list", lambda *four: _interpreted(_list, pa.list_(pa.string()), *four), 4, "VARCHAR[]")
    _register(connection, "pm_map", lambda *four: _interpreted(_map, as_map, *four), 4, _MAP)


def _register(connection: Any, name: str, function: Callable[..., pa.Array], arity: int, result: str) -> None:
    # DuckDB reads the number of parameters off the function, so it must have that many of its own.
    exact: dict[int, Callable[..., pa.Array]] = {
        1: lambda a: function(a),
        2: lambda a, b: function(a, b),
        4: lambda a, b, c, d: function(a, b, c, d),
    }
    types = ["VARCHAR"] * 3 + ["BIGINT"] if arity == 4 else ["VARCHAR"] * arity
    connection.create_function(name, exact[arity], types, result, type="arrow", null_handling="special")


def _over(function: Callable[..., Any], type_: pa.DataType, *columns: pa.ChunkedArray) -> pa.Array:
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return pa.array([None if None in row else _tried(function, row) for row in rows], type=type_)


def _tried(function: Callable[..., Any], row: tuple[Any, ...]) -> Any:
    """One value; missing where DuckDB takes a text for JSON and Python does not (`inf`, a comma too many, nesting
    beyond the recursion limit): one line of a file must not stop the load of all others."""
    try:
        return function(*row)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _interpreted(
    write: Callable[[Any, str], Any],
    type_: pa.DataType,
    expressions: pa.ChunkedArray,
    kinds: pa.ChunkedArray,
    inputs: pa.ChunkedArray,
    times: pa.ChunkedArray,
) -> pa.Array:
    """One expression over a column of JSON objects; rows with equal input and time are evaluated once."""
    if len(inputs) == 0:
        return pa.array([], type=type_)
    evaluate, kind = interpreter_of(expressions[0].as_py()), kinds[0].as_py()

    def value(text: str, microseconds: int | None) -> Any:
        time = None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
        return write(evaluate(Scope(values.loads(text), time)), kind)

    known: dict[tuple[str, int | None], Any] = {}
    found = []
    for row in zip(inputs.to_pylist(), times.to_pylist(), strict=True):
        if row not in known:
            known[row] = None if row[0] is None else _tried(value, row)
        found.append(known[row])
    return pa.array(found, type=type_)


def _scalar(value: Any, kind: str) -> str | None:
    if kind == "condition":
        return ("true" if value else "false") if isinstance(value, bool) else None
    made = fitted(value, KINDS[kind])
    return None if made is None else as_text(made)


def _list(value: Any, kind: str) -> list[str] | None:
    made = fitted(value, KINDS[kind])
    return None if made is None else [as_text(item) for item in made]


def _map(value: Any, kind: str) -> list[tuple[str, str]] | None:
    made = fitted(value, KINDS[kind])
    return None if made is None else [(key, as_text(item)) for key, item in made.items()]
