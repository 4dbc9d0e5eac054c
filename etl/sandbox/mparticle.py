"""A stand-in for mParticle's Events API, beside Amplitude's: its limits, its error bodies, its silence about bad batches.

Feeds: the sandbox's own pair of key and secret is one, and every pair with the same ending is another (`key-ios` with
`secret-ios`). `GET /_sandbox/mparticle` tells what each feed has received.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from etl.sandbox.mparticle_rules import fault_of
from etl.sandbox.replies import BrokenOff, page
from etl.sandbox.state import Asked, Sandbox

_MOST_BATCHES, _MOST_BATCH_BYTES, _MOST_REQUEST_BYTES = 100, 128 * 1024, 256 * 1024
_CODES = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 413: "PAYLOAD_TOO_LARGE", 429: "TOO_MANY_REQUESTS"}
_WORDS = {401: "No credentials", 403: "The key is not known", 429: "Too many requests"}
_PATHS = ("/v2/events", "/v2/bulkevents", "/v2/bulkevents/historical")


class Feeds:
    """What the feeds have taken, each `source_request_id` once, and what was dropped without a word."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self.taken: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self.repeated = 0

    def take(self, feed: str, batch: Any) -> None:
        with self._lock:
            fault = fault_of(batch)
            if fault is not None:
                self.dropped.append({"feed": feed, "batch": batch, "why": fault})
                return
            known = (feed, str(batch.get("source_request_id")))
            if "source_request_id" in batch and known in self._known:
                self.repeated += 1
                return
            self._known.add(known)
            self.taken.append({"feed": feed, "batch": batch})

    def as_dict(self) -> dict[str, Any]:
        with self._lock:
            return {"taken": list(self.taken), "dropped": list(self.dropped), "repeated": self.repeated}


def mparticle_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of the three paths and of the control, over feeds of their own."""
    feeds = Feeds()

    async def receive(request: Request) -> Response:
        body = await request.body()
        response = await run_in_threadpool(_answer, sandbox, feeds, request, body)
        sandbox.record(Asked("mparticle", request.url.path, "", response.status_code))
        return response

    async def received(request: Request) -> Response:
        return JSONResponse(feeds.as_dict())

    return [*(Route(path, receive, methods=["POST"]) for path in _PATHS), Route("/_sandbox/mparticle", received)]


def _answer(sandbox: Sandbox, feeds: Feeds, request: Request, body: bytes) -> Response:
    feed = _feed(sandbox, request)
    if isinstance(feed, Response):
        return feed
    fault = sandbox.faults.take("mparticle")
    if fault is not None and fault.isdigit():
        return _error(int(fault))
    if fault == "html":
        return page(200)
    if fault == "slow":
        sandbox.options.clock.sleep(sandbox.options.slow_seconds)
    response = _take(feeds, feed, request.url.path, body)
    if fault == "stored":
        return _error(500)
    return BrokenOff(b"{}", response.status_code) if fault == "reset" else response


def _take(feeds: Feeds, feed: str, path: str, body: bytes) -> Response:
    if len(body) > _MOST_REQUEST_BYTES:
        return _error(413, "The request is larger than 256 KB")
    try:
        content = json.loads(body)
    except ValueError:
        return _error(400, "The body is not valid JSON")
    if path == "/v2/events":
        fault = "The batch is larger than 128 KB" if len(body) > _MOST_BATCH_BYTES else fault_of(content)
        if fault is not None:
            return _error(400, fault)
        feeds.take(feed, content)
        return _taken()
    if not isinstance(content, list) or not content:
        return _error(400, "An array of batches is expected")
    if len(content) > _MOST_BATCHES:
        return _error(400, f"More than {_MOST_BATCHES} batches")
    for batch in content:
        feeds.take(feed, batch)
    return _taken()


def _feed(sandbox: Sandbox, request: Request) -> str | Response:
    """The key of the feed that the request is for, or the refusal."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        key, colon, secret = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return _error(401)
    if scheme.lower() != "basic" or not colon:
        return _error(401)
    options = sandbox.options
    ending = key.removeprefix(options.key)
    known = key.startswith(options.key) and secret == options.secret + ending and (not ending or ending.startswith("-"))
    return key if known else _error(403)


def _taken() -> Response:
    return Response(status_code=202, headers={"X-mp-rate-limit-percentage-used": "1"})


def _error(status: int, message: str | None = None) -> Response:
    body = {"errors": [{"code": _CODES.get(status, "SERVER_ERROR"), "message": message or _WORDS.get(status, "Something went wrong")}]}
    headers = {"Retry-After": "1", "X-mp-rate-limit-exceeded": "feed"} if status == 429 else None
    return JSONResponse(body, status, headers=headers)
