"""The receiver's requests: `POST /customerio`, `POST /nami` (or `/nami/<secret>`), `GET /health`.

200 means that the event is on disk. 401: not the vendor's. 404: a path that is not set up. 413: the body is too large.
400: no JSON object. 503: not stored, or not in time; the vendor sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from etl.errors import TransientError
from etl.receiver.commits import GroupCommit

log = logging.getLogger(__name__)

# A check of a request's headers, the rest of its path, and its body: None, or why it is refused.
Check = Callable[[Mapping[str, str], str, bytes], str | None]

# Customer.io waits four seconds for an answer (amplitude-api.md 8); what is not on disk by then it sends again anyway.
ANSWER_SECONDS = 3.5
# Of a body that is too large so many times the limit is read, and so long.
_READ_OFF, _READ_OFF_SECONDS = 16, 2.0


@dataclass(frozen=True)
class Vendor:
    """Where the events of one vendor go, and how a request is known to be its. Without `check` the path is closed, and
    `closed` says why. `secret_in_path`: whether the path may go on with a secret. `refused` counts refusals by status."""

    name: str
    inbox: GroupCommit
    check: Check | None
    closed: str = ""
    secret_in_path: bool = False
    refused: Counter[int] = field(default_factory=Counter)
    _told: set[str] = field(default_factory=set)

    def note(self, refused: _Refused) -> None:
        """Counts a refusal; the log gets the first one of its kind, as a wrong key must not go unseen, and strangers fill no disk."""
        self.refused[refused.status] += 1
        if refused.why not in self._told:
            self._told.add(refused.why)
            log.warning("answered %d to a request for /%s: %s (said once; GET /health counts them)", refused.status, self.name, refused.why)


@dataclass(frozen=True)
class Limits:
    """`body`: the most bytes of one request. `answer`: the most seconds until it is answered. `requests`: the most at once."""

    body: int = 1024 * 1024
    answer: float = ANSWER_SECONDS
    requests: int = 2000


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def create_app(vendors: list[Vendor], limits: Limits) -> Starlette:
    """The application. The vendors' `GroupCommit`s must be running while it serves."""
    routes = [Route("/health", _health(vendors), methods=["GET"])]
    for vendor in vendors:
        endpoint = _receive(vendor, limits)
        paths = [f"/{vendor.name}", *([f"/{vendor.name}/{{rest}}"] if vendor.secret_in_path else [])]
        routes += [Route(path, endpoint, methods=["POST"]) for path in paths]
    return Starlette(routes=routes)


def _receive(vendor: Vendor, limits: Limits) -> Callable[[Request], Any]:
    async def receive(request: Request) -> Response:
        try:
            async with asyncio.timeout(limits.answer):
                line = await _line(request, vendor, limits)
                await vendor.inbox.store(line)
        except _Refused as refused:
            vendor.note(refused)
            return JSONResponse({"error": refused.why}, refused.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except (TransientError, TimeoutError) as error:
            why = error.what if isinstance(error, TransientError) else "not stored in time"
            return JSONResponse({"error": why}, 503, headers={"Retry-After": "1"})
        return JSONResponse({"stored": True})

    return receive


async def _line(request: Request, vendor: Vendor, limits: Limits) -> bytes:
    """The event as a line. Raises _Refused."""
    if vendor.check is None:
        raise _Refused(404, vendor.closed)
    body = await _body(request, limits.body)
    if (why := vendor.check(request.headers, request.path_params.get("rest", ""), body)) is not None:
        raise _Refused(401, why)
    return one_line(body)


async def _body(request: Request, most: int) -> bytes:
    announced, rest = request.headers.get("content-length", "0"), request.stream()
    refused = _Refused(413, f"the body is larger than {most} bytes")
    if announced.isdigit() and int(announced) > most:
        if "expect" not in request.headers:  # else it waits for a word of ours before it sends anything
            await _read_off(rest, _READ_OFF * most)
        raise refused
    parts, size = [], 0
    async for part in rest:
        size += len(part)
        if size > most:
            await _read_off(rest, _READ_OFF * most)
            raise refused
        parts.append(part)
    return b"".join(parts)


async def _read_off(rest: AsyncIterator[bytes], most: int) -> None:
    """Takes what is still being sent, up to a bound. A sender whose connection is closed while it writes never reads the answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READ_OFF_SECONDS):
            async for part in rest:
                size += len(part)
                if size > most:
                    return


def one_line(body: bytes) -> bytes:
    """A JSON object as one line, otherwise as it was sent: line breaks between its members become blanks (inside of texts
    JSON has none). Raises _Refused for anything else."""
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _Refused(400, "the body is no JSON text") from error
    if not isinstance(content, dict):
        raise _Refused(400, "the body is no JSON object")
    return text.replace("\r", " ").replace("\n", " ").strip().encode()


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _health(vendors: list[Vendor]) -> Callable[[Request], Any]:
    async def health(request: Request) -> Response:
        healthy = all(vendor.inbox.healthy for vendor in vendors)
        counts = {
            vendor.name: {
                "stored": vendor.inbox.stored,
                "refused": {str(status): count for status, count in sorted(vendor.refused.items())},
                "open": vendor.check is not None,
            }
            for vendor in vendors
        }
        return JSONResponse({"healthy": healthy, "vendors": counts}, 200 if healthy else 503)

    return health
