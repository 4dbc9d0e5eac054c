"""Answers in Amplitude's words: its error object, its S3 errors, and answers that break on purpose."""

from __future__ import annotations

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

_GATEWAY = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
_DETAILS = {
    400: "Bad request",
    401: "Missing credentials",
    403: "Invalid API Key",
    404: "Not found",
    410: "Gone",
    429: "Too many requests for this project",
}


_REFUSED = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Invalid request path",
    410: "Gone",
    413: "Payload too large",
    429: "Too many requests for some devices and users",
}
INGESTION = ("httpapi", "batch", "identify", "groupidentify")


class BrokenOff(Response):
    """Announces its whole body, sends half of it, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def error(status: int, details: str | None = None) -> Response:
    """The error object of Amplitude's Basic-auth APIs; 429 comes with `Retry-After: 1`."""
    body = {
        "error": {
            "http_code": status,
            "type": "unspecified" if status in (401, 403) else "invalid",
            "metadata": {"details": details or _DETAILS[status]},
        }
    }
    return JSONResponse(body, status, headers={"Retry-After": "1"} if status == 429 else None)


def refusal(status: int) -> Response:
    """The error object of the sending APIs, without the events concerned."""
    body: dict[str, object] = {"code": status, "error": _REFUSED[status]}
    if status == 429:
        body["eps_threshold"] = 30
    return JSONResponse(body, status)


def page(status: int, title: str | None = None) -> Response:
    """An HTML page, as gateways send them."""
    words = title or _GATEWAY.get(status, "Please wait")
    return HTMLResponse(f"<!DOCTYPE html><html><head><title>{words}</title></head><body>{words}</body></html>", status)


def s3_error(status: int, code: str, message: str) -> Response:
    """An error of the object store."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, media_type="application/xml")


def status_fault(route: str, name: str) -> Response | None:
    """The answer of a fault that needs no data; None for those that change the right answer."""
    if name == "html":
        return page(200)
    if not name.isdigit():
        return None
    status = int(name)
    if status >= 500:
        return page(status)
    if route in INGESTION:
        return refusal(status)
    return s3_error(status, "AccessDenied", _DETAILS[status]) if route == "s3" else error(status)
