"""What a status means where it stands, and the words of an error's body."""

from __future__ import annotations

import json
from dataclasses import dataclass

from etl.errors import (
    BadRequest,
    ConfigurationError,
    CredentialsError,
    NotFound,
    ProfilemillError,
    ServerError,
    Throttled,
)

_MOST_NAMED = 5


@dataclass(frozen=True)
class Meaning:
    """What a status says in one place: the error to raise, its first words, and what to do next."""

    error: type[ProfilemillError]
    what: str
    next_step: str | None = None


def default_meaning(status: int) -> Meaning:
    if status in (401, 403):
        return Meaning(CredentialsError, "The server refused the credentials")
    if status in (404, 410):
        return Meaning(NotFound, "The server does not know this")
    if status == 429:
        return Meaning(Throttled, "The server asks to slow down")
    if status == 408 or status >= 500:
        return Meaning(ServerError, "The server failed")
    if status >= 400:
        return Meaning(BadRequest, "The server refused the request")
    if 300 <= status < 400:
        return Meaning(ConfigurationError, "The server redirects this request elsewhere", "check the base URL")
    return Meaning(ServerError, "The server gave an answer that makes no sense here")


def details(text: str) -> str:
    """What an error's body says: `error.message` and `error.metadata.details` (or the first of its `skipped_ids`), `error` as a text,
    `errors[].message`, or else all of it."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    several = found.get("errors") if isinstance(found, dict) else None
    if isinstance(several, list):
        return "; ".join(str(one["message"]) for one in several if isinstance(one, dict) and one.get("message")) or text
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        metadata = error.get("metadata")
        detail = metadata.get("details") if isinstance(metadata, dict) else None
        skipped = metadata.get("skipped_ids") if isinstance(metadata, dict) else None
        if not detail and isinstance(skipped, list):
            more = f" and {len(skipped) - _MOST_NAMED:,} more" if len(skipped) > _MOST_NAMED else ""
            detail = ", ".join(map(str, skipped[:_MOST_NAMED])) + more
        words = [str(item) for item in (error.get("message"), detail) if item]
        return ": ".join(words) or text
    return error if isinstance(error, str) else text
