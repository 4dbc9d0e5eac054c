"""Whether a refusal is about the events that were sent, or about the request: an address that is none of the vendor's, a proxy's
page. What is about events is written down and never sent again, so a doubt stops the run instead."""

from __future__ import annotations

from etl.errors import BadRequest, FatalError

# Amplitude's words for requests that did not reach it as they were sent.
_OF_REQUESTS = ("invalid request path", "missing request body")


def check_refusal(error: BadRequest, vendor: str) -> None:
    """Returns where a refusal (400 with an error object in JSON) is about events. Raises FatalError for every other one."""
    body = (error.body or "").lstrip().lower()
    if error.status == 400 and body.startswith("{") and '"error' in body and not any(words in body for words in _OF_REQUESTS):
        return
    raise FatalError(
        f"the request was refused, and not as {vendor} refuses events",
        where=error.where,
        value=error.value,
        next_step="check base_url, where one is set, and the proxies in between; no event of it counts as refused",
    ) from error
