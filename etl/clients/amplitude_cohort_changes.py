"""Making cohorts from lists of ids, and changing who is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from etl.clients.amplitude_answers import in_doubt, surely_not_done
from etl.clients.amplitude_base import AmplitudeBase
from etl.clients.amplitude_tracking import encoded
from etl.clients.meanings import Meaning
from etl.clients.retry import retry
from etl.errors import BadRequest, ConfigurationError, DamagedDownload, NotFound, PayloadTooLarge, ProfilemillError, TransientError

MOST_IDS = 100_000
By = Literal["amplitude_id", "user_id"]
_UPLOADED_BY = {"amplitude_id": "BY_AMP_ID", "user_id": "BY_USER_ID"}
_CHANGED_BY = {"amplitude_id": "BY_ID", "user_id": "BY_NAME"}
_MEANINGS = {
    400: Meaning(BadRequest, "Amplitude refused the ids or the cohort"),
    404: Meaning(NotFound, "Amplitude does not know this cohort", "compare its id with the list of cohorts"),
    413: Meaning(PayloadTooLarge, "The list of ids is too large", "send fewer at once"),
}


@dataclass(frozen=True)
class CohortUpload:
    """The cohort made or replaced: how many of the ids given are somebody's, and some that are not."""

    cohort_id: str
    matched: int
    given: int
    invalid_ids_sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class MembershipChange:
    """How many ids were sent, and those that Amplitude skipped because they are nobody's."""

    cohort_id: str
    added: int
    removed: int
    skipped: tuple[str, ...] = ()


class CohortChanges(AmplitudeBase):
    def upload_cohort(
        self,
        name: str,
        ids: Iterable[str | int],
        *,
        app_id: int,
        owner: str,
        by: By = "user_id",
        published: bool = True,
        group: str | None = None,
        existing_cohort_id: str | None = None,
        skip_invalid_ids: bool = True,
    ) -> CohortUpload:
        """Makes a cohort of these people, or **replaces** those of `existing_cohort_id`. `owner` is a login e-mail.

        Above 100,000 ids the rest is added in further requests; if one of them fails, its error's `where` names the
        cohort, which then holds the ids so far. A new cohort is asked for again only where Amplitude surely made none.
        """
        given = _ids(ids, by)
        if not name.strip() or not owner.strip() or not given:
            raise ConfigurationError("A cohort needs a name, an owner and at least one id")
        body: dict[str, Any] = {
            "name": name,
            "app_id": app_id,
            "id_type": _UPLOADED_BY[by],
            "ids": given[:MOST_IDS],
            "owner": owner,
            "published": published,
            "skip_invalid_ids": skip_invalid_ids,
        }
        if group is not None:
            body["cg"] = group
        if existing_cohort_id is not None:
            body["existing_cohort_id"] = existing_cohort_id
        try:
            found = self._change("/api/3/cohorts/upload", body, repeatable=existing_cohort_id is not None)
        except ProfilemillError as error:
            if existing_cohort_id is None:
                in_doubt(error, "the cohort may have been made: look at the list of cohorts before you ask for it again")
            raise
        cohort_id = found.get("cohortId", found.get("cohort_id"))
        if not isinstance(cohort_id, str | int):
            raise DamagedDownload("Amplitude's answer names no cohort", where={"cohort": name})
        metadata = found.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        sample = tuple(map(str, metadata.get("invalid_ids_sample") or ()))
        matched = metadata.get("matched")
        count = matched if isinstance(matched, int) else len(body["ids"]) - len(sample)
        rest = given[MOST_IDS:]
        if rest:
            change = self.change_cohort_members(str(cohort_id), add=rest, by=by, group=group or "User", skip_invalid_ids=skip_invalid_ids)
            count += len(rest) - len(change.skipped)
            sample += change.skipped
        return CohortUpload(str(cohort_id), count, len(given), sample[:100])

    def change_cohort_members(
        self,
        cohort_id: str,
        *,
        add: Iterable[str | int] = (),
        remove: Iterable[str | int] = (),
        by: By = "user_id",
        group: str = "User",
        skip_invalid_ids: bool = True,
    ) -> MembershipChange:
        """Adds people to a cohort, then takes people out of it, 100,000 ids in a request.

        With `skip_invalid_ids=False` Amplitude refuses a request with an id of nobody (BadRequest) and changes nothing.
        """
        changes = {"ADD": _ids(add, by), "REMOVE": _ids(remove, by)}
        if not cohort_id.strip() or not any(changes.values()):
            raise ConfigurationError("A change of a cohort needs the cohort's id, and ids to add or to remove")
        skipped: list[str] = []
        for operation, ids in changes.items():
            for part in _parts(ids):
                body = {
                    "cohort_id": cohort_id,
                    "memberships": [{"ids": part, "id_type": _CHANGED_BY[by], "operation": operation}],
                    "count_group": group,
                    "skip_invalid_ids": skip_invalid_ids,
                }
                try:
                    found = self._change("/api/3/cohorts/membership", body, repeatable=True)
                except ProfilemillError as error:
                    error.at(cohort=cohort_id, operation=operation)
                    raise
                for result in found.get("memberships_result") or ():
                    skipped += map(str, result.get("skipped_ids") or ()) if isinstance(result, dict) else ()
        return MembershipChange(cohort_id, len(changes["ADD"]), len(changes["REMOVE"]), tuple(skipped))

    def _change(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> dict[str, Any]:
        content = encoded(body)

        def attempt() -> dict[str, Any]:
            with self._http.post(path, content, "application/json", signed=True, meanings=_MEANINGS) as answer:
                return answer.json()

        def worth_it(error: TransientError) -> bool:
            return repeatable or surely_not_done(error)

        return retry(attempt, policy=self._retry, clock=self._clock, allowed=worth_it)


def _ids(ids: Iterable[str | int], by: str) -> list[str]:
    if by not in _UPLOADED_BY:
        raise ConfigurationError("Ids are by amplitude_id or by user_id", value=by)
    texts = list(dict.fromkeys(str(one) for one in ids))
    wrong = next((one for one in texts if not one.strip() or (by == "amplitude_id" and not one.isdecimal())), None)
    if wrong is not None:
        raise ConfigurationError(f"This is not one person's {by}", value=repr(wrong))
    return texts


def _parts(ids: Sequence[str]) -> Iterable[list[str]]:
    remaining = iter(ids)
    while part := list(islice(remaining, MOST_IDS)):
        yield part
