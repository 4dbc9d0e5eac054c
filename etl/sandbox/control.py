"""`/_sandbox/...`: what tests and demos use to change the data, plan faults, and see what was asked. No credentials."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from etl.errors import ConfigurationError
from etl.sandbox.faults import parse_faults
from etl.sandbox.state import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes, over the state of one app."""

    async def change_cohort(request: Request) -> Response:
        change = await request.json()
        if not isinstance(change, dict):
            return _wrong("a JSON object is expected")
        members = change.get("members", [])
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            return _wrong("members must be a list of objects by column name")
        cohort = sandbox.store.change_cohort(request.path_params["id"], change)
        return JSONResponse({"deleted": True} if cohort is None else cohort.entry)

    async def add_faults(request: Request) -> Response:
        body = await request.json()
        texts = body.get("faults", []) if isinstance(body, dict) else body
        try:
            faults = parse_faults([texts] if isinstance(texts, str) else [str(text) for text in texts])
        except ConfigurationError as problem:
            return _wrong(str(problem))
        sandbox.faults.add(faults)
        return JSONResponse({"added": len(faults)})

    async def add_events(request: Request) -> Response:
        body = await request.json()
        try:
            added = sandbox.store.add_events(body if isinstance(body, list) else [body])
        except ValueError as problem:
            return _wrong(str(problem))
        return JSONResponse({"added": added})

    async def answers(request: Request) -> Response:
        streams = request.query_params.get("streams", "events,cohorts").split(",")
        found = await run_in_threadpool(sandbox.store.answers, events="events" in streams, members="cohorts" in streams)
        return JSONResponse(found)

    async def tracked(request: Request) -> Response:
        return JSONResponse(sandbox.tracked.summary())

    async def asked(request: Request) -> Response:
        return JSONResponse(sandbox.asked())

    return [
        Route("/_sandbox/cohorts/{id}", change_cohort, methods=["POST"]),
        Route("/_sandbox/faults", add_faults, methods=["POST"]),
        Route("/_sandbox/events", add_events, methods=["POST"]),
        Route("/_sandbox/answers", answers),
        Route("/_sandbox/tracked", tracked),
        Route("/_sandbox/requests", asked),
    ]


def _wrong(text: str) -> Response:
    return JSONResponse({"error": text}, 400)
