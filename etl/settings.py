"""What comes from outside the data: the clock, the sleep, the folders of the package, and secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """Time as an argument: tests pass their own, nothing is ever patched."""

    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Secret:
    """A text that no `repr`, `str`, format or log shows; `reveal()` gives it."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__


def package_version() -> str:
    """The installed version, `0+unknown` where the package was never installed."""
    try:
        return metadata.version("profilemill")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def packaged_mappings() -> Path:
    """The folder of the mappings that come with the package (in a wheel: inside it; in a checkout: beside it)."""
    inside = Path(__file__).parent / "_mappings"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "mappings"
