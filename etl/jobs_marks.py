"""The places of faults in the jobs file: its lines, without the secrets in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from etl.faults import Fault, nearest

# Whatever looks like a credential's key, also when it is misspelt.
_SECRET = re.compile(r"""(?i)([\w-]*(?:key|secr|passw|token|url|login)[\w-]*["']?\s*:\s*)((?!["']?\$\{)(?:"[^"]*"|'[^']*'|[^\s,}{\[]+))""")

_MOST_LISTED = 6


def without_secrets(line: str) -> str:
    """The line with the values of keys, secrets and URLs starred out, unless they are variables; its length stays."""
    return _SECRET.sub(lambda found: found.group(1) + "*" * len(found.group(2)), line)


class Marks:
    """Finds the place in the file of a path of keys."""

    def __init__(self, path: Path, text: str, root: yaml.Node | None, models: Mapping[str, type[BaseModel]]) -> None:
        """`models` are the models of the file's parts, by the word that their place in the file is told by; "" is the whole."""
        self._path, self._lines, self._root, self._models = path, text.split("\n"), root, models

    def of(self, error: Any) -> Fault:
        # Pydantic puts the type between a job's or a destination's name and its keys.
        tagged = len(error["loc"]) > 2 and error["loc"][0] in ("jobs", "destinations")
        location = error["loc"][:2] + error["loc"][3:] if tagged else error["loc"]
        message = str(error["msg"]).removeprefix("Value error, ")
        hint = None
        if error["loc"][-1] == "[key]":
            name, value = self._no_text(error["loc"][:-1])
            location, message, hint = (*error["loc"][:-2], name), f"YAML reads this name as {value}", "put it into quotes"
            return self.fault("J003", location, message, hint, last_is_key=True)
        if error["type"] == "extra_forbidden":
            message, hint = f"unknown key {location[-1]!r}", self._known(error["loc"])
        elif error["type"] == "missing":
            message, location = f"{location[-1]!r} is missing", location[:-1]
        elif error["type"] == "union_tag_not_found":
            message = "'type' is missing"
        elif error["type"] == "union_tag_invalid":
            types = [name.strip("' ") for name in error["ctx"]["expected_tags"].split(",")]
            message, location = f"there is no type {error['ctx']['tag']!r}", (*location, "type")
            hint = nearest(error["ctx"]["tag"], types) or f"known types: {', '.join(types)}"
        elif error["type"] == "literal_error":
            values = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            hint = nearest(self._written(location), values)
            if hint is not None and len(values) > _MOST_LISTED:
                message = f"this is none of the {len(values)} values that there are"
        return self.fault("J003", location, message, hint, last_is_key=error["type"] == "extra_forbidden")

    def fault(self, code: str, path: tuple[Any, ...], message: str, hint: str | None = None, *, last_is_key: bool = False) -> Fault:
        mark, width = self._find(path, last_is_key)
        source = without_secrets(self._lines[mark[0]]) if mark[0] < len(self._lines) else ""
        named = ".".join(str(part) for part in path)
        text = f"{named}: {message}" if named else message
        return Fault(code, text, self._path.name, mark[0] + 1, mark[1] + 1, source, width, hint)

    def _written(self, path: tuple[Any, ...]) -> str:
        (line, column), width = self._find(path, False)
        return self._lines[line][column : column + width].strip("\"'")

    def _find(self, path: tuple[Any, ...], last_is_key: bool) -> tuple[tuple[int, int], int]:
        node, place, width = self._root, (0, 0), 1
        for depth, part in enumerate(path):
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if str(key.value) == str(part)), None)
                if pair is None:
                    break
                shown = pair[0] if (last_is_key and depth == len(path) - 1) or not isinstance(pair[1], yaml.ScalarNode) else pair[1]
                node = pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = shown = node.value[part]
            else:
                break
            place = (shown.start_mark.line, shown.start_mark.column)
            width = max(1, shown.end_mark.column - shown.start_mark.column) if shown.end_mark.line == shown.start_mark.line else 1
        return place, width

    def _no_text(self, path: tuple[Any, ...]) -> tuple[str, str]:
        """Of a key that YAML takes for something else than a text (`on`, `2024`): how it is written, and what it is taken for."""
        node = self._root
        for part in path[:-1]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            node = next((inner for key, inner in pairs if str(key.value) == str(part)), None)
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            value = yaml.safe_load(key.value)
            if str(path[-1]) == str(int(value) if isinstance(value, bool) else value):
                return str(key.value), json.dumps(value, default=str)
        return str(path[-1]), "no text"

    def _known(self, location: tuple[Any, ...]) -> str | None:
        model = next((self._models[str(part)] for part in reversed(location[:-1]) if str(part) in self._models), self._models[""])
        return nearest(str(location[-1]), model.model_fields) or f"known keys: {', '.join(model.model_fields)}"
