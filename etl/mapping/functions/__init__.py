"""One function, one file: `functions/<name>.py` holds `FUNCTION`, its specification, kernel, SQL form and examples.

A dot in a function's name is an underscore in its file's. The kernel is the meaning: plain Python over one record's
values. The SQL form, where there is one, is the same for whole columns; tests hold the two together.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.tree import Call

if TYPE_CHECKING:
    from etl.mapping.compile import Compiler, Sql


@dataclass(frozen=True)
class Example:
    """An expression, a record, and the value it gives (`MISSING` as the text "missing"). Tests run all of them.

    `time` is the record's message time in ISO form, where the expression needs one.
    """

    expression: str
    record: dict[str, Any]
    value: Any
    time: str | None = None


@dataclass(frozen=True)
class Function:
    """What a mapping may call.

    `least` and `most` count the arguments (`most` None: any number). `kernel` gets the arguments' values in their order
    (None: missing) and gives the value, None for missing; it raises nothing. With `needs_scope` its first argument is
    the `Scope`: the record and its message time; `reads_record` says that it looks at more of the record than its
    arguments. `gives` is the kind of the result (`any` where it depends).
    `parses`: a present argument that gives nothing is a value that could not be read, and is counted as such.
    `check` raises ExpressionError for literal arguments that can never work. `sql` gives the SQL form, None where SQL
    cannot say this call.
    """

    name: str
    signature: str
    summary: str
    group: str
    least: int
    most: int | None
    gives: str
    kernel: Callable[..., Any]
    needs_scope: bool = False
    reads_record: bool = False
    parses: bool = False
    aliases: tuple[str, ...] = ()
    check: Callable[[Call], None] = lambda call: None
    sql: Callable[[Compiler, Call], Sql | None] | None = None
    examples: tuple[Example, ...] = ()

    @property
    def is_map(self) -> bool:
        return self.gives.startswith("map[")


@cache
def functions() -> dict[str, Function]:
    """Every function by name, read from this folder."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{module}").FUNCTION for module in modules]
    return {function.name: function for function in found}


@cache
def _by_name_or_alias() -> dict[str, Function]:
    return functions() | {alias: function for function in functions().values() for alias in function.aliases}


def function_of(call: Call) -> Function:
    """The function of a call that was checked before."""
    return _by_name_or_alias()[call.name]


def function_named(call: Call) -> Function:
    """The function that `call` names, its arguments counted and checked. Raises ExpressionError."""
    known = _by_name_or_alias()
    found = known.get(call.name)
    if found is None:
        hint = nearest(call.name, known) or "mappings/README.md lists all functions"
        raise ExpressionError("E201", f"there is no function {call.name!r}", call.start, call.start + len(call.name), hint)
    given = len(call.arguments)
    if given < found.least or (found.most is not None and given > found.most):
        needed = (
            str(found.least)
            if found.least == found.most
            else f"{found.least} to {found.most}"
            if found.most is not None
            else f"at least {found.least}"
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


def literal_text(call: Call, index: int, example: str) -> str:
    """The literal text of an argument. Raises ExpressionError where it is anything else; `example` shows how to write it."""
    from etl.mapping.tree import Literal

    argument = call.arguments[index]
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    raise ExpressionError(
        "E203", f"argument {index + 1} of {call.name} must be literal text", argument.start, argument.end, f"for example {example}"
    )
