"""`GET /api/2/export`: a zip of gzip members for the upload hours asked for, both ends included."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from tempfile import SpooledTemporaryFile

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from etl.sandbox.replies import BrokenOff, error, page
from etl.sandbox.state import Sandbox
from etl.sandbox.store import Member

_HOUR = re.compile(r"\d{8}T\d{2}")
_LONGEST = timedelta(days=365)
_IN_MEMORY = 8 * 1024 * 1024
_CHUNK = 256 * 1024
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def export(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """The archive, or 404 where no hour asked for has data that is old enough (three hours, unless set otherwise)."""
    start, end = _hour(request.query_params.get("start")), _hour(request.query_params.get("end"))
    if start is None or end is None:
        return error(400, "start and end must be given as YYYYMMDDTHH")
    if end < start or end - start > _LONGEST:
        return error(400, "end must not be before start, nor more than 365 days after it")
    members = sandbox.store.members(start, min(end, sandbox.now() - sandbox.options.export_delay))
    first = next(members, None)
    if first is None:
        return PlainTextResponse("Raw data files were not found.", 404)
    options = sandbox.options
    if options.max_bytes is not None or options.gateway_bytes is not None:
        rest = list(members)
        size = sum(len(member.content) for member in (first, *rest))
        if options.max_bytes is not None and size > options.max_bytes:
            return error(400, "The requested file is too large. Please ask for a shorter range.")
        if options.gateway_bytes is not None and size > options.gateway_bytes:
            return page(504)
        members = iter(rest)
    if fault == "truncated_member":
        first = Member(first.name, first.content[: len(first.content) // 2])
    return _archive(chain([first], members), fault)


def _archive(members: Iterable[Member], fault: str | None) -> Response:
    if fault in ("reset", "truncated"):
        whole = b"".join(_chunks(members))
        if fault == "reset":
            return BrokenOff(whole, media_type="application/zip")
        return Response(whole[: len(whole) * 2 // 3], media_type="application/zip")
    return StreamingResponse(_chunks(members), media_type="application/zip")


def _chunks(members: Iterable[Member]) -> Iterator[bytes]:
    # Made only when the first chunk is asked for: a client that is gone by then leaves no file open.
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for member in members:
                archive.writestr(zipfile.ZipInfo(member.name, _ZIP_TIME), member.content)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _hour(text: str | None) -> datetime | None:
    if text is None or not _HOUR.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[9:]}")
    except ValueError:
        return None
