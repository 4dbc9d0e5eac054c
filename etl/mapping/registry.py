"""The functions by name, read from the folder `functions/`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from etl.mapping import functions as folder
from etl.mapping.hints import function_hint
from etl.mapping.messages import ExpressionError, nearest
from etl.mapping.specification import Function
from etl.mapping.tree import Call, Node


@cache
def functions() -> dict[str, Function]:
    """Every function by name, its specification."""
    modules = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    found = [importlib.import_module(f"{folder.__name__}.{module}").FUNCTION for module in modules]
    return {function.name: function for function in found}


@cache
def _by_name_or_alias() -> dict[str, Function]:
    return functions() | {alias: function for function in functions().values() for alias in function.aliases}


def function_of(call: Call) -> Function:
    """The function of a call that was checked before."""
    return _by_name_or_alias()[call.name]


def read_by(node: Node) -> Node | None:
    """What an expression reads as something else: the text of a date or an address. None for those that read nothing so."""
    if not (isinstance(node, Call) and node.arguments and function_of(node).parses):
        return None
    return node.arguments[-1] if node.name == "todate" else node.arguments[0]


def function_named(call: Call) -> Function:
    """The function that `call` names, its arguments counted and checked. Raises ExpressionError."""
    known = _by_name_or_alias()
    found = known.get(call.name)
    if found is None:
        hint = function_hint(call.name) or nearest(call.name, functions()) or "mappings/README.md lists all functions"
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
