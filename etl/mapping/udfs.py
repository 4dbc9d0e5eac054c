"""The Arrow functions that compiled mappings call for rare shapes. Each takes and gives whole columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from etl.mapping import values

_MAP = "MAP(VARCHAR, VARCHAR)"


def text_of(json_text: str) -> str | None:
    """JSON text of one value to its text form."""
    return values.text_form(values.loads(json_text))


def flatten_text(record: str, prefixes: str) -> list[tuple[str, str]] | None:
    """`match` with the values as text; None when nothing matched. `prefixes` is a JSON list."""
    found = values.matched(values.loads(record), json.loads(prefixes))
    texts = [(key, text) for key, leaf in found.items() if (text := values.text_form(leaf)) is not None]
    return texts or None


def flatten_json(record: str, prefixes: str) -> list[tuple[str, str]] | None:
    """`match` with every value as JSON text of its own type (lists joined by comma)."""
    found = values.matched(values.loads(record), json.loads(prefixes))
    leaves = {key: values.text_form(leaf) if isinstance(leaf, list) else leaf for key, leaf in found.items()}
    return [(key, json.dumps(leaf, ensure_ascii=False)) for key, leaf in leaves.items()] or None


def count_values(json_list: str) -> list[tuple[str, str]] | None:
    """A JSON list to its members' texts and how often each occurs; empty texts and nulls do not count."""
    counts: dict[str, int] = {}
    for member in values.loads(json_list):
        if text := values.text_form(member):
            counts[text] = counts.get(text, 0) + 1
    return [(text, str(count)) for text, count in counts.items()] or None


def register(connection: Any) -> None:
    """Makes the functions known to a DuckDB connection under the prefix `pm_`."""
    _register(connection, text_of, 1, "VARCHAR", pa.string())
    _register(connection, flatten_text, 2, _MAP, pa.map_(pa.string(), pa.string()))
    _register(connection, flatten_json, 2, _MAP, pa.map_(pa.string(), pa.string()))
    _register(connection, count_values, 1, _MAP, pa.map_(pa.string(), pa.string()))


def _tried(function: Callable[..., Any], row: tuple[str, ...]) -> Any:
    """One value; missing where DuckDB takes a text for JSON and Python does not (`inf`, a comma too many, nesting
    beyond the recursion limit): one line of a file must not stop the load of all others."""
    try:
        return function(*row)
    except (ValueError, RecursionError):
        return None


def _register(connection: Any, function: Callable[..., Any], arity: int, result: str, arrow: pa.DataType) -> None:
    def over(*columns: pa.ChunkedArray) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([None if None in row else _tried(function, row) for row in rows], type=arrow)

    # DuckDB reads the number of parameters off the function, so it must have that many of its own.
    exact = (lambda first: over(first)) if arity == 1 else (lambda first, second: over(first, second))
    parameters = ["VARCHAR"] * arity
    connection.create_function(f"pm_{function.__name__}", exact, parameters, result, type="arrow", null_handling="special")
