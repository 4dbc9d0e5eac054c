"""Cohorts: which to ask for, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from etl.clients.amplitude import Cohort
from etl.errors import ConfigurationError
from etl.faults import nearest

Action = Literal["request", "adopt", "skip"]


@dataclass(frozen=True)
class CohortPlan:
    """What a run does about one cohort. `request_id` is there for `adopt`; `reason` is for people."""

    id: str
    name: str
    size: int | None
    last_computed: int | None
    action: Action
    reason: str
    request_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> CohortPlan:
        return CohortPlan(**content)


def select(cohorts: Sequence[Cohort], wanted: Iterable[str]) -> list[Cohort]:
    """The cohorts with the wanted ids or names, in the list's order; all that are not archived when none are wanted.

    Raises ConfigurationError for a wanted one that is not in the list.
    """
    names = list(wanted)
    if not names:
        return [cohort for cohort in cohorts if not cohort.archived]
    known = {cohort.id for cohort in cohorts} | {cohort.name for cohort in cohorts}
    for name in names:
        if name not in known:
            listed = ", ".join(f"{cohort.name} ({cohort.id})" for cohort in cohorts[:20])
            raise ConfigurationError(
                f"there is no cohort {name!r}",
                next_step=nearest(name, known) or f"published cohorts: {listed or 'none'}; a cohort must be published to be listed",
            )
    return [cohort for cohort in cohorts if cohort.id in names or cohort.name in names]


def plan(
    cohorts: Sequence[Cohort], loaded: Mapping[str, int], requested: Mapping[tuple[str, int], str], *, force: bool
) -> list[CohortPlan]:
    """What to do about each cohort. `loaded`: the newest `lastComputed` loaded, by id; `requested`: known request ids.

    A cohort is asked for only when it was computed anew since, so that the monthly quota lasts. Where it does not last for
    all, those that were loaded longest ago, or never, come first.
    """
    plans = []
    for cohort in sorted(cohorts, key=lambda one: loaded.get(one.id, 0)):
        known = requested.get((cohort.id, cohort.last_computed or 0))
        action, reason = _decide(cohort, loaded.get(cohort.id), known, force)
        request_id = known if action == "adopt" else None
        plans.append(CohortPlan(cohort.id, cohort.name, cohort.size, cohort.last_computed, action, reason, request_id))
    return plans


def _decide(cohort: Cohort, loaded: int | None, known: str | None, force: bool) -> tuple[Action, str]:
    if cohort.last_computed is None:
        return "skip", "never computed"
    if loaded == cohort.last_computed and not force:
        return "skip", "not computed again since it was loaded"
    if known is not None:
        return "adopt", "a request for it is under way"
    if loaded is None:
        return "request", "not loaded yet"
    return "request", "forced" if loaded == cohort.last_computed else "computed anew"
