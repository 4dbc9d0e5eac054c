"""Profilemill: Amplitude cohorts and events become unified user profiles."""

from typing import Any

__all__ = ["read_profiles"]


def __getattr__(name: str) -> Any:
    # `import etl` stays cheap: what it offers is loaded when it is asked for.
    if name == "read_profiles":
        from etl.profiles.published import read_profiles

        return read_profiles
    raise AttributeError(f"module 'etl' has no attribute {name!r}")
