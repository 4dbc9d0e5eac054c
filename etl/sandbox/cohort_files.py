"""The cohort routes: list, usage, request, status, file, and the second host that large files are redirected to."""

from __future__ import annotations

import gzip
from datetime import UTC, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from etl.sandbox.data import Cohort, csv_bytes
from etl.sandbox.replies import BrokenOff, error, s3_error
from etl.sandbox.state import CohortRequest, Sandbox

_QUOTA = "Monthly cohort download quota exceeded: {used} of {limit} requests used, resets at {resets}"
_RATE = "Exceeded rate limit of {limit} cohort requests per 10 minutes"


def listing(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """Every cohort with its full field set; `includeSyncInfo=true` adds `syncMetadata`."""
    entries = [cohort.entry for cohort in sandbox.store.cohorts()]
    if request.query_params.get("includeSyncInfo") == "true":
        entries = [{**entry, "syncMetadata": entry.get("syncMetadata", [])} for entry in entries]
    return JSONResponse({"cohorts": entries})


def usage(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """How much of the monthly quota is used."""
    used, resets = sandbox.usage()
    limit = sandbox.options.monthly_quota
    body = {"limit": limit, "usage": used, "resets_at": resets.replace(tzinfo=UTC).isoformat()}
    return JSONResponse({"rest_download": body})


def ask(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """Step 1: accepts a request for one cohort as it is now, and counts it; 404 for an unknown cohort."""
    cohort = sandbox.store.cohort(request.path_params["id"])
    if cohort is None:
        return error(404, "Cohort not found")
    admitted = "quota" if fault == "quota" else sandbox.admit(cohort, _columns(cohort, request))
    if admitted == "rate":
        return error(429, _RATE.format(limit=sandbox.options.requests_per_10_minutes))
    if isinstance(admitted, str):
        used, resets = sandbox.usage()
        limit = sandbox.options.monthly_quota
        resets_at = resets.replace(tzinfo=UTC).isoformat()
        return error(429, _QUOTA.format(used=limit if fault else used, limit=limit, resets=resets_at))
    return JSONResponse({"request_id": admitted.request_id, "cohort_id": cohort.entry["id"]}, 202)


def status(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """Step 2: 202 until the request was looked at often enough, then 200."""
    asked = sandbox.request(request.path_params["id"])
    if asked is None:
        return error(404, "Request not found")
    if fault in ("stuck", "failed"):
        asked.fate = fault
    if asked.fate == "expired":
        return error(410, "Request has expired")
    ready = sandbox.poll(asked)
    words = "JOB COMPLETED" if ready else "JOB FAILED" if asked.fate == "failed" else "JOB INPROGRESS"
    body = {"request_id": asked.request_id, "cohort_id": asked.cohort.entry["id"], "async_status": words}
    return JSONResponse(body, 202 if words == "JOB INPROGRESS" else 200)


def file(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """Step 3: the CSV itself, or for a large cohort a redirect to a link on the second host."""
    asked = sandbox.request(request.path_params["id"])
    if asked is not None and fault == "expired":
        asked.fate = "expired"
    if asked is not None and asked.fate == "expired":
        return error(410, "Request has expired")
    if asked is None or not sandbox.ready(asked):
        return error(404, "File not found")
    if len(asked.cohort.rows) <= sandbox.options.inline_members or fault in ("empty", "short", "reset"):
        return _csv(sandbox, asked, fault)
    other = "127.0.0.1" if request.url.hostname == "localhost" else "localhost"
    query = f"X-Amz-Expires={sandbox.options.link_seconds}&X-Amz-Signature={sandbox.link(asked)}"
    return RedirectResponse(f"http://{other}:{request.url.port}/s3/cohorts/{asked.request_id}.csv?{query}", 302)


def s3(sandbox: Sandbox, request: Request, fault: str | None) -> Response:
    """The file behind a link: 400 with an `Authorization` header, 403 where the link is too old or not signed."""
    if "authorization" in request.headers:
        return s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    asked = sandbox.request(request.path_params["id"])
    signature = request.query_params.get("X-Amz-Signature", "")
    age = sandbox.link_age(asked.request_id, signature) if asked is not None else None
    if asked is None or age is None:
        return s3_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    if fault == "expired" or age > timedelta(seconds=sandbox.options.link_seconds):
        return s3_error(403, "AccessDenied", "Request has expired")
    return _csv(sandbox, asked, fault)


def _columns(cohort: Cohort, request: Request) -> tuple[str, ...]:
    if request.query_params.get("props") != "1":
        return cohort.header[:2]
    wanted = request.query_params.getlist("propKeys")
    return cohort.header if not wanted else (*cohort.header[:2], *(key for key in wanted if key in cohort.header[2:]))


def _csv(sandbox: Sandbox, asked: CohortRequest, fault: str | None) -> Response:
    cohort = asked.cohort
    rows = cohort.rows
    if fault == "empty":
        rows = ()
    elif fault == "short":
        rows = rows[: len(rows) // 2]
    if len(asked.columns) == len(cohort.header):
        header, cells = cohort.header, rows
    else:
        places = [cohort.header.index(name) for name in asked.columns]
        header, cells = asked.columns, tuple(tuple(row[place] for place in places) for row in rows)
    if cohort.entry["id"] in sandbox.options.group_cohorts:
        header = (header[0], "\tgroup_value", *header[2:])
        cells = tuple((row[0], "\t" + row[1], *row[2:]) for row in cells)
    if cohort.entry["id"] in sandbox.options.repeated_header:
        # The second column is empty: who lets the last of two equal names win loses every id.
        header = (*header[:2], header[0], *header[2:])
        cells = tuple((*row[:2], "", *row[2:]) for row in cells)
    body = gzip.compress(csv_bytes(header, cells), mtime=0)
    kind = BrokenOff if fault == "reset" else Response
    return kind(body, media_type="text/csv", headers={"Content-Encoding": "gzip"})
