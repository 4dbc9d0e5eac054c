"""The Dashboard REST API: who somebody is, what they did, and how often an event happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.clients.amplitude_base import AmplitudeBase
from etl.clients.amplitude_segmentation import MOST_COST, Segmentation, SegmentationQuery, segmentation_from
from etl.clients.meanings import Meaning
from etl.clients.retry import retry
from etl.errors import BadRequest, ConfigurationError, DamagedDownload, Throttled

_PAGE = 1000
_COST_PAUSE = 75.0  # four pauses are the five minutes over which cost is counted
_REFUSED = Meaning(BadRequest, "Amplitude refused the query", "check the name of the event (it must have happened) and the parameters")


@dataclass(frozen=True)
class UserMatch:
    """One person found; `raw` is the entry as it came."""

    amplitude_id: int
    user_id: str | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class UserSearch:
    """Who was found and how: match_amplitude_id, match_user_or_device_id, match_user_prefix, nomatch."""

    matches: tuple[UserMatch, ...]
    type: str


@dataclass(frozen=True)
class UserActivity:
    """A person (the API's `userData`, where empty texts stand for what is missing) and their events.

    `truncated`: there are more events than these. `found` is False for an id that Amplitude does not know.
    """

    user: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    truncated: bool
    found: bool


class Dashboard(AmplitudeBase):
    def user_search(self, wanted: str | int) -> UserSearch:
        """The people of an amplitude_id, a device id, a user id, or a prefix of user ids; nobody is an empty result."""
        if not str(wanted).strip():
            raise ConfigurationError("There is nothing to search for", next_step="give an Amplitude, device or user id, or its beginning")

        def attempt() -> UserSearch:
            with self._http.get("/api/2/usersearch", params=[("user", str(wanted))]) as answer:
                found = answer.json()
                matches = found.get("matches")
                if not isinstance(matches, list):
                    raise DamagedDownload("The answer has no matches", where={"request": answer.request})
                return UserSearch(tuple(one for item in matches if (one := _match(item))), str(found.get("type") or ""))

        return retry(attempt, policy=self._retry, clock=self._clock)

    def user_activity(self, amplitude_id: int | str, *, most: int = 10 * _PAGE, earliest: bool = False, offset: int = 0) -> UserActivity:
        """A person and at most `most` of their events, the newest first or, with `earliest`, the oldest.

        One request per 1,000 events (360 an hour are allowed), and one more where it is not clear otherwise whether there
        are more. An event that two pages share comes once.
        """
        if most < 1 or offset < 0 or not str(amplitude_id).isdecimal():
            raise ConfigurationError("An activity needs an Amplitude ID, and counts from 1", value=f"{amplitude_id}, {most} from {offset}")
        user: Mapping[str, Any] = {}
        events: dict[object, Mapping[str, Any]] = {}
        position, more = offset, False
        while True:
            limit = min(_PAGE, max(1, most - len(events)))
            user, page = self._activity(amplitude_id, position, limit, earliest)
            before = len(events)
            for event in page:
                events.setdefault(_identity(event), event)
            position += len(page)
            if len(events) > most:
                more = True
                break
            if len(page) < limit:
                break
            if len(events) == before:  # the same page again: this server does not go on
                total = user.get("num_events")
                more = isinstance(total, int) and total > offset + len(events)
                break
        known = bool(events) or (str(user.get("canonical_amplitude_id")) == str(amplitude_id) and not _is_nobody(user))
        return UserActivity(user, tuple(events.values())[:most], more, known)

    def event_segmentation(self, query: SegmentationQuery, *, most_cost: int = MOST_COST) -> Segmentation:
        """How often an event happened. Raises ConfigurationError before any request if the query would cost too much, and
        BadRequest for an event that does not exist.

        A project may spend 1,000 in five minutes, shared by all its queries. Beyond it Amplitude answers 429, which is waited
        for; Throttled is raised if five minutes do not help.
        """
        if query.cost > most_cost:
            raise ConfigurationError(
                "The query costs too much",
                value=f"about {query.cost:,}, and {most_cost:,} are allowed",
                next_step="ask for fewer days at once, or with fewer groups and conditions",
            )

        def attempt() -> Segmentation:
            try:
                with self._http.get("/api/2/events/segmentation", params=query.parameters(), meanings={400: _REFUSED}) as answer:
                    return segmentation_from(answer.json(), query.cost, answer.request)
            except Throttled as error:
                if "cost" in (error.body or ""):
                    error.delay = max(error.delay or 0.0, _COST_PAUSE)
                raise

        return retry(attempt, policy=self._retry, clock=self._clock)

    def _activity(
        self, amplitude_id: int | str, offset: int, limit: int, earliest: bool
    ) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
        params = [("user", str(amplitude_id)), ("offset", str(offset)), ("limit", str(limit))]
        params.append(("direction", "earliest" if earliest else "latest"))

        def attempt() -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
            with self._http.get("/api/2/useractivity", params=params) as answer:
                found = answer.json()
                user, events = found.get("userData"), found.get("events")
                if not isinstance(user, dict) or not isinstance(events, list):
                    raise DamagedDownload("The answer has no user or no events", where={"request": answer.request})
                return user, [event for event in events if isinstance(event, dict)]

        return retry(attempt, policy=self._retry, clock=self._clock)


def _is_nobody(user: Mapping[str, Any]) -> bool:
    """Whether this is what Amplitude answers for an id that it does not know: somebody without anything, with the id 1."""
    return str(user.get("canonical_amplitude_id")) == "1" and not (user.get("num_events") or user.get("user_id") or user.get("device_ids"))


def _match(item: object) -> UserMatch | None:
    if not isinstance(item, dict) or not str(item.get("amplitude_id", "")).isdecimal():
        return None
    user_id = item.get("user_id")
    return UserMatch(int(item["amplitude_id"]), None if user_id is None else str(user_id), item)


def _identity(event: Mapping[str, Any]) -> object:
    names = ("event_id", "event_time", "session_id", "device_id", "event_type", "$insert_id")
    return event.get("uuid") or tuple(str(event.get(name)) for name in names)
