"""What the operations of Identify do to properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPERATIONS = frozenset(("$set", "$setOnce", "$add", "$append", "$prepend", "$preInsert", "$postInsert", "$remove", "$unset", "$clearAll"))
_LONGEST_TEXT = 1024


def is_mixed(change: Mapping[str, Any]) -> bool:
    """Whether operations stand beside plain properties."""
    kinds = {name in OPERATIONS for name in change}
    return len(kinds) == 2


def changed(current: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The properties after a change: plain ones are set, operations done in their order."""
    found = dict(current)
    if not any(name in OPERATIONS for name in change):
        return found | {name: cut(value) for name, value in change.items()}
    for operation, content in change.items():
        if operation == "$clearAll":
            found = {}
        for name, value in content.items() if isinstance(content, dict) else ():
            _change(found, operation, name, cut(value))
    return found


def cut(value: Any) -> Any:
    """The value with its texts cut at 1,024 characters."""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, list):
        return [cut(item) for item in value]
    if isinstance(value, dict):
        return {key: cut(item) for key, item in value.items()}
    return value


def _change(found: dict[str, Any], operation: str, name: str, value: Any) -> None:
    if operation == "$set":
        found[name] = value
    elif operation == "$setOnce":
        found.setdefault(name, value)
    elif operation == "$unset":
        found.pop(name, None)
    elif operation == "$add":
        found[name] = _number(found.get(name)) + _number(value)
    elif operation == "$remove":
        if name in found:
            gone = _listed(value)
            found[name] = [item for item in _listed(found[name]) if item not in gone]
    else:
        before = _listed(found[name]) if name in found else []
        new = _listed(value)
        if operation in ("$preInsert", "$postInsert"):
            new = [item for index, item in enumerate(new) if item not in before and item not in new[:index]]
        found[name] = new + before if operation in ("$prepend", "$preInsert") else before + new


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _number(value: Any) -> int | float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
