"""A stand-in for Amplitude's APIs (cohorts, export, dashboard, upload), with their limits and faults, for tests and demos."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from etl.sandbox import cohort_changes, cohort_files, ingestion
from etl.sandbox.control import control_routes
from etl.sandbox.exports import export
from etl.sandbox.ingestion import Posted
from etl.sandbox.mparticle import mparticle_routes
from etl.sandbox.people_queries import useractivity, usersearch
from etl.sandbox.replies import BrokenOff, error, status_fault
from etl.sandbox.segmentation import segmentation
from etl.sandbox.state import Asked, Sandbox, SandboxOptions

__all__ = ["SandboxOptions", "create_app"]

_Handler = Callable[[Sandbox, Request, str | None], Response]
_PostHandler = Callable[[Sandbox, Posted, str | None], Response]


class AbsoluteForm:
    """Takes `GET http://host/path` for `GET /path`, as servers must: so a client may use the sandbox as its HTTP proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "://" in scope["path"][:8]:
            path = "/" + scope["path"].split("://", 1)[1].partition("/")[2]
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


def create_app(options: SandboxOptions) -> Starlette:
    """The app; `app.state.sandbox` is its state. The same app stands for every region."""
    sandbox = Sandbox(options)
    routes = [
        _route(sandbox, "/api/2/export", "export", export),
        _route(sandbox, "/api/3/cohorts", "cohorts", cohort_files.listing),
        _route(sandbox, "/api/3/cohorts/usage", "usage", cohort_files.usage),
        _route(sandbox, "/api/5/cohorts/request/{id}", "cohort_request", cohort_files.ask),
        _route(sandbox, "/api/5/cohorts/request-status/{id}", "cohort_status", cohort_files.status),
        _route(sandbox, "/api/5/cohorts/request/{id}/file", "cohort_file", cohort_files.file),
        _route(sandbox, "/s3/cohorts/{id}.csv", "s3", cohort_files.s3, credentials=False),
        _route(sandbox, "/api/2/usersearch", "usersearch", usersearch),
        _route(sandbox, "/api/2/useractivity", "useractivity", useractivity),
        _route(sandbox, "/api/2/events/segmentation", "segmentation", segmentation),
        _post(sandbox, "/api/3/cohorts/upload", "cohort_upload", cohort_changes.upload, credentials=True),
        _post(sandbox, "/api/3/cohorts/membership", "cohort_membership", cohort_changes.membership, credentials=True),
        _post(sandbox, "/2/httpapi", "httpapi", ingestion.httpapi),
        _post(sandbox, "/batch", "batch", ingestion.batch),
        _post(sandbox, "/identify", "identify", ingestion.identify, methods=("GET", "POST")),
        _post(sandbox, "/groupidentify", "groupidentify", ingestion.groupidentify, methods=("GET", "POST")),
    ]
    routes += [*control_routes(sandbox), *mparticle_routes(sandbox)]
    app = Starlette(routes=routes, middleware=[Middleware(AbsoluteForm)])
    app.state.sandbox = sandbox
    return app


def _route(sandbox: Sandbox, path: str, name: str, handler: _Handler, *, credentials: bool = True) -> Route:
    def answer(request: Request) -> Response:
        refused = _refusal(sandbox.options, request) if credentials else None
        response = refused or _with_faults(sandbox, name, lambda fault: handler(sandbox, request, fault))
        sandbox.record(Asked(name, request.url.path, request.url.query, response.status_code))
        return response

    return Route(path, answer, methods=["GET"])


def _post(
    sandbox: Sandbox, path: str, name: str, handler: _PostHandler, *, credentials: bool = False, methods: tuple[str, ...] = ("POST",)
) -> Route:
    """A route whose body (or query, of a GET) holds the credentials, unless they are asked for in the header."""

    def answer(request: Request, body: bytes) -> Response:
        query = request.url.query if request.method == "GET" else None
        posted = Posted(body, request.client.host if request.client else "", request.headers.get("content-type", ""), query)
        refused = _refusal(sandbox.options, request) if credentials else None
        response = refused or _with_faults(sandbox, name, lambda fault: handler(sandbox, posted, fault))
        # The query of a GET holds the key.
        sandbox.record(Asked(name, request.url.path, request.url.query if query is None else "", response.status_code))
        return response

    async def read_and_answer(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await request.body())

    return Route(path, read_and_answer, methods=list(methods))


def _with_faults(sandbox: Sandbox, name: str, answered: Callable[[str | None], Response]) -> Response:
    fault = sandbox.faults.take(name)
    planned = status_fault(name, fault) if fault else None
    if planned is not None:
        return planned
    if fault == "slow":
        sandbox.options.clock.sleep(sandbox.options.slow_seconds)
    response = answered(fault)
    if fault == "reset" and not isinstance(response, BrokenOff):
        return BrokenOff(response.body, response.status_code, media_type=response.media_type)
    return response


def _refusal(options: SandboxOptions, request: Request) -> Response | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not token:
        return error(401)
    try:
        given = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return error(401)
    return None if given == f"{options.key}:{options.secret}" else error(403)
