"""`POST /api/3/cohorts/upload` and `/membership`: cohorts made and changed from lists of ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from etl.sandbox.data import Cohort
from etl.sandbox.ingestion import Posted
from etl.sandbox.state import Sandbox

_MOST_IDS = 100_000
_SAMPLE = 10
_REQUIRED = {"name": str, "app_id": int, "id_type": str, "ids": list, "owner": str, "published": bool}
_Member = dict[str, Any]
_Finder = Callable[[str], list[_Member]]


def upload(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """Makes a cohort, or with `existing_cohort_id` replaces what one holds; ids of nobody are left out or refused."""
    body = _object(posted)
    for name, kind in _REQUIRED.items():
        if type(body.get(name)) is not kind:
            return _refused(400, f"{name} is missing or of the wrong type")
    if body["id_type"] not in ("BY_AMP_ID", "BY_USER_ID"):
        return _refused(400, "id_type must be BY_AMP_ID or BY_USER_ID")
    if len(body["ids"]) > _MOST_IDS:
        return _refused(400, f"at most {_MOST_IDS} ids are allowed")
    existing = body.get("existing_cohort_id")
    if existing and sandbox.store.cohort(existing) is None:
        return _refused(404, "Cohort not found")
    find = _finder(sandbox, "amplitude_id" if body["id_type"] == "BY_AMP_ID" else "user_id")
    members, unknown = _found(body["ids"], find)
    if unknown and body.get("skip_invalid_ids") is False:
        return _refused(400, "Some ids are invalid", {"invalid_ids": unknown})
    cohort_id = existing or f"up{len(sandbox.store.cohorts()) + 1:05d}"
    change = {"name": body["name"], "members": members, "published": body["published"], "owners": [body["owner"]]}
    if not existing:
        change |= {"lastComputed": int(sandbox.options.clock.now().timestamp()), "appId": body["app_id"]}
    if not body.get("skip_save"):
        sandbox.store.change_cohort(cohort_id, change)
    totals = {"matched": len(body["ids"]) - len(unknown), "totals": len(body["ids"]), "invalid_ids_sample": unknown[:_SAMPLE]}
    return JSONResponse({"cohortId": cohort_id, "metadata": totals})


def membership(sandbox: Sandbox, posted: Posted, fault: str | None) -> Response:
    """Adds people to a cohort and takes them out of it; ids of nobody are skipped or refused."""
    body = _object(posted)
    cohort = sandbox.store.cohort(str(body.get("cohort_id")))
    if cohort is None:
        return _wrong(404, "Cohort not found")
    changes = body.get("memberships")
    if not isinstance(changes, list) or not all(isinstance(one, dict) and isinstance(one.get("ids"), list) for one in changes):
        return _wrong(400, "memberships must be a list of objects with ids")
    for one in changes:
        if one.get("id_type") not in ("BY_ID", "BY_NAME") or one.get("operation") not in ("ADD", "REMOVE"):
            return _wrong(400, "id_type must be BY_ID or BY_NAME, operation ADD or REMOVE")
    if sum(len(one["ids"]) for one in changes) > _MOST_IDS:
        return _wrong(400, f"at most {_MOST_IDS} ids are allowed")
    members, results, skipped = _members(cohort), [], []
    finders = {"BY_ID": _finder(sandbox, "amplitude_id"), "BY_NAME": _finder(sandbox, "user_id")}
    for one in changes:
        found, unknown = _found(one["ids"], finders[one["id_type"]])
        skipped += unknown
        results.append({"skipped_ids": unknown, "id_type": one["id_type"], "operation": one["operation"]})
        for member in found:
            if one["operation"] == "ADD":
                members.setdefault(str(member["amplitude_id"]), member)
            else:
                members.pop(str(member["amplitude_id"]), None)
    if skipped and body.get("skip_invalid_ids") is False:
        return _wrong(400, "Some ids are invalid", {"skipped_ids": skipped})
    sandbox.store.change_cohort(cohort.entry["id"], {"members": list(members.values())})
    return JSONResponse({"cohort_id": cohort.entry["id"], "memberships_result": results})


def _members(cohort: Cohort) -> dict[str, _Member]:
    return {row[0]: dict(zip(cohort.header, row, strict=True)) for row in cohort.rows}


def _finder(sandbox: Sandbox, key: str) -> _Finder:
    """Finds the people of an id; a user id may belong to several."""
    seen = [(event.get("amplitude_id"), event.get("user_id")) for event in sandbox.store.events()]
    with sandbox.tracked.users() as users:
        seen += [(user.amplitude_id, user.user_id) for user in users.every()]
    people: dict[str, dict[str, _Member]] = {}
    for amplitude_id, user_id in [*seen, *sandbox.store.known_people()]:
        member = {"amplitude_id": amplitude_id, "user_id": user_id}
        if amplitude_id is not None and member[key] is not None:
            people.setdefault(str(member[key]), {})[str(amplitude_id)] = member
    return lambda text: list(people.get(text, {}).values())


def _found(ids: list[Any], find: _Finder) -> tuple[list[_Member], list[str]]:
    texts = list(dict.fromkeys(map(str, ids)))
    return [member for one in texts for member in find(one)], [one for one in texts if not find(one)]


def _object(posted: Posted) -> dict[str, Any]:
    try:
        found = json.loads(posted.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(status: int, message: str, metadata: dict[str, Any] | None = None) -> Response:
    return JSONResponse({"error": {"http_code": status, "type": "invalid", "message": message, "metadata": metadata or {}}}, status)


def _wrong(status: int, message: str, metadata: dict[str, Any] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "code": status, "metadata": metadata or {}}}, status)
