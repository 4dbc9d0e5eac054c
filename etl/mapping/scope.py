"""What an expression is evaluated on: one record and its message time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Scope:
    """`record` is a JSON object as Python values; `time` its message time (aware, UTC), None where it has none."""

    record: Mapping[str, Any]
    time: datetime | None = None
