"""One function, one file: `functions/<name>.py` holds `FUNCTION`, its specification, SQL form and examples."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from etl.mapping.compile import Compiler, Sql
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.tree import Call


@dataclass(frozen=True)
class Example:
    """An expression, a record, and the value it gives (`MISSING` as the text "missing"). Tests run all of them."""

    expression: str
    record: dict[str, Any]
    value: Any


@dataclass(frozen=True)
class Function:
    """What a mapping may call. `least` and `most` count the arguments (`most` None: any number)."""

    signature: str
    summary: str
    least: int
    most: int | None
    compile: Callable[[Compiler, Call], Sql]
    is_map: bool = False
    check: Callable[[Call], None] = lambda call: None
    examples: tuple[Example, ...] = ()


@cache
def functions() -> dict[str, Function]:
    """Every function by name, read from this folder."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").FUNCTION for name in names}


def function_named(call: Call) -> Function:
    """The function that `call` names, its arguments counted and checked. Raises ExpressionError."""
    found = functions().get(call.name)
    if found is None:
        hint = nearest(call.name, functions()) or "known functions: " + ", ".join(functions())
        raise ExpressionError("E201", f"there is no function {call.name!r}", call.start, call.start + len(call.name), hint)
    given = len(call.arguments)
    if given < found.least or (found.most is not None and given > found.most):
        needed = (
            str(found.least) if found.least == found.most else f"{found.least} to {found.most}" if found.most else f"at least {found.least}"
        )
        raise ExpressionError(
            "E202",
            f"{call.name} takes {needed} argument{'' if needed == '1' else 's'}, not {given}",
            call.start,
            call.end,
            found.signature,
        )
    found.check(call)
    return found
