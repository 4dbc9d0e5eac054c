"""Sending events: HTTP V2 and Batch, as raw calls with typed errors, and `track` on top of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from etl.clients.amplitude_base import AmplitudeBase
from etl.clients.amplitude_names import as_list, named
from etl.clients.http import Answer
from etl.clients.meanings import Meaning
from etl.clients.retry import retry
from etl.errors import (
    BadRequest,
    CredentialsError,
    DataError,
    EventsThrottled,
    FatalError,
    InvalidEvents,
    PayloadTooLarge,
    ProfilemillError,
    TransientError,
)
from etl.groups import groups_of

_ENVELOPE = 1024
_MOST_NAMED = 3
_FORBIDDEN = Meaning(
    FatalError,
    "Amplitude's firewall refused the upload",
    "sending it again does not help; check from where it is sent, and what the properties hold",
)
_TOO_LARGE = Meaning(PayloadTooLarge, "The upload is too large", "send fewer events at once; one that is too large alone cannot be sent")
_THROTTLED = Meaning(
    EventsThrottled,
    "Some users or devices send too much: Amplitude refused the whole upload",
    "send fewer events of one user or device at once, or take the Batch endpoint",
)
_USED_UP = Meaning(
    EventsThrottled,
    "The daily quota of some users or devices is used up: Amplitude refused the whole upload",
    "leave their events out, or send them a day later",
)
_INVALID = Meaning(InvalidEvents, "Amplitude refused the upload for some of its events")
_REFUSED = Meaning(BadRequest, "Amplitude refused the upload")
_WRONG_KEY = Meaning(CredentialsError, "Amplitude does not know the API key", "check the API key and the region")


@dataclass(frozen=True)
class Endpoint:
    """A way to upload events: its limits per request, and the seconds to wait before throttled events are sent again."""

    path: str
    most_events: int
    most_bytes: int
    pause: float


HTTP_V2 = Endpoint("/2/httpapi", 2000, 1_000_000, 30.0)
BATCH = Endpoint("/batch", 2000, 20_000_000, 15.0)


@dataclass(frozen=True)
class Ingested:
    """What Amplitude acknowledged; `events` counts those it already had, too. `raw` is the answer as it came."""

    events: int
    payload_bytes: int | None = None
    server_upload_time: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Tracking(AmplitudeBase):
    def upload(self, events: Sequence[Mapping[str, Any]], *, endpoint: Endpoint = HTTP_V2, min_id_length: int | None = None) -> Ingested:
        """Sends the events in one request, as they are, once. Nothing is kept unless all of it is.

        Raises InvalidEvents (400 naming events), EventsThrottled (429, whose `delay` is at least the endpoint's pause),
        PayloadTooLarge (413), CredentialsError (400 for the key), BadRequest (another 400), FatalError (403). After
        ServerError and a NetworkError with `maybe_done` the events may have been kept (not so after a 503), so
        only events with an `insert_id` may be sent again.
        """
        body: dict[str, Any] = {"api_key": self._api_key.reveal(), "events": events}
        if min_id_length is not None:
            body["options"] = {"min_id_length": min_id_length}
        sent = encoded(body)
        with self._ingestion.post(
            endpoint.path, sent, "application/json", signed=False, accepted=(200, 400, 413, 429), meanings={403: _FORBIDDEN}
        ) as answer:
            if answer.status == 200:
                return _ingested(answer.json(), len(events))
            raise self._refused(answer, endpoint).at(events=len(events))

    def track(
        self,
        events: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        min_id_length: int | None = None,
        endpoint: Endpoint = HTTP_V2,
    ) -> Ingested:
        """Sends one event or several in one request, again after a TransientError.

        The client's default ids are filled in, the 14 camelCase keys accepted, and an event without `insert_id` gets one, so
        that no repetition counts twice. Raises what `upload` raises; ConfigurationError for what is no event.
        """
        return self._track([self._prepared(event) for event in as_list(events, "an event")], min_id_length, endpoint)

    def track_all(
        self, events: Iterable[Mapping[str, Any]], *, min_id_length: int | None = None, endpoint: Endpoint = HTTP_V2
    ) -> Iterator[Ingested]:
        """Sends any number of events, as `track` does, in as few requests as the endpoint's limits allow: one result each.

        Stops at the first error, whose `where` says how many events were `acknowledged` before; the indexes of InvalidEvents
        count from the first event of all.
        """
        done = 0
        ready = (self._prepared(event) for given in events for event in as_list(given, "an event"))
        try:
            for part in requests_of(ready, endpoint):
                ingested = self._track(part, min_id_length, endpoint)
                done += len(part)
                yield ingested
        except ProfilemillError as error:
            if isinstance(error, InvalidEvents):
                _count_from(error, done)
            error.at(acknowledged=done)
            raise

    def _prepared(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return named(event, {**self._defaults, "insert_id": uuid.uuid4().hex})

    def _track(self, ready: Sequence[Mapping[str, Any]], min_id_length: int | None, endpoint: Endpoint) -> Ingested:
        def worth_it(error: TransientError) -> bool:
            return not (isinstance(error, EventsThrottled) and (error.daily_devices or error.daily_users))

        return retry(
            lambda: self.upload(ready, endpoint=endpoint, min_id_length=min_id_length),
            policy=self._retry,
            clock=self._clock,
            allowed=worth_it,
        )

    def _refused(self, answer: Answer, endpoint: Endpoint) -> ProfilemillError:
        text = answer.text()
        found = _object(text)
        words = str(found.get("error") or "")
        meaning = _REFUSED
        if answer.status == 413:
            meaning = _TOO_LARGE
        elif answer.status == 429:
            over = found.get("exceeded_daily_quota_devices") or found.get("exceeded_daily_quota_users")
            meaning = _USED_UP if over else _THROTTLED
        elif words.lower().startswith("invalid api key") or (words and found.get("missing_field") == "api_key"):
            meaning = _WRONG_KEY
        elif reasons_of(found) or _indexes(found.get("throttled_events")):
            meaning = _INVALID
        error = self._ingestion.error(answer, {answer.status: meaning}, text)
        if isinstance(error, InvalidEvents):
            error.reasons = reasons_of(found)
            error.value = _with_reasons(error.value or "", error.reasons)
            error.silenced = _indexes(found.get("silenced_events"))
            error.throttled = _indexes(found.get("throttled_events"))
        if isinstance(error, EventsThrottled):
            error.events = _indexes(found.get("throttled_events"))
            error.devices, error.users = _rates(found.get("throttled_devices")), _rates(found.get("throttled_users"))
            error.daily_devices = _rates(found.get("exceeded_daily_quota_devices"))
            error.daily_users = _rates(found.get("exceeded_daily_quota_users"))
            error.delay = max(endpoint.pause, error.delay or 0.0)
        return error


def requests_of(
    events: Iterable[Mapping[str, Any]], endpoint: Endpoint, *, most_events: int | None = None, most_bytes: int | None = None
) -> Iterator[list[Mapping[str, Any]]]:
    """The events, in their order, in lists that each fit one request of the endpoint, or the lower limits given.

    An event that is too large even alone comes alone. DataError for an event that cannot be written as JSON, with its `index`.
    """
    number = min(endpoint.most_events, most_events or endpoint.most_events)
    room = min(endpoint.most_bytes, most_bytes or endpoint.most_bytes) - _ENVELOPE
    indexes = count()

    def size(event: Mapping[str, Any]) -> int:
        index = next(indexes)
        try:
            return len(encoded(event)) + 1
        except DataError as error:
            error.at(index=index)
            raise

    yield from groups_of(events, size, most_items=number, most_size=room)


def encoded(content: object) -> bytes:
    """JSON as it is sent: compact, UTF-8. DataError for what that does not have: dates, NaN, half a surrogate pair."""
    step = "give times as epoch milliseconds, and no NaN or infinity"
    try:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError as error:
        reason, step = str(error), "a text holds half a surrogate pair: it was cut in the middle of a character"
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error)
    raise DataError("This cannot be written as JSON", value=reason, next_step=step)


def reasons_of(found: Mapping[str, Any]) -> dict[int, str]:
    """Why each event that the answer of an upload names is at fault, by index; several reasons are joined."""
    reasons: dict[int, list[str]] = {}
    for key, words in (
        ("events_with_missing_fields", "is missing"),
        ("events_with_invalid_fields", "is not valid"),
        ("events_with_invalid_id_lengths", "is too short"),
    ):
        fields = found.get(key)
        for name, indexes in fields.items() if isinstance(fields, dict) else ():
            for index in _indexes(indexes):
                reasons.setdefault(index, []).append(f"{name} {words}")
    for index in _indexes(found.get("silenced_events")):
        reasons.setdefault(index, []).append(str(found.get("error") or "its device is silenced"))
    return {index: ", ".join(texts) for index, texts in sorted(reasons.items())}


def _with_reasons(words: str, reasons: Mapping[int, str]) -> str:
    """Amplitude's words, with its reasons for the first few events."""
    listed = "; ".join(f"event {index}: {reason}" for index, reason in list(reasons.items())[:_MOST_NAMED])
    more = f"; and {len(reasons) - _MOST_NAMED:,} more" if len(reasons) > _MOST_NAMED else ""
    return f"{words} ({listed}{more})" if listed else words


def _count_from(error: InvalidEvents, first: int) -> None:
    words = (error.value or "").partition(" (event ")[0]
    error.reasons = {first + index: reason for index, reason in error.reasons.items()}
    error.silenced = tuple(first + index for index in error.silenced)
    error.throttled = tuple(first + index for index in error.throttled)
    error.value = _with_reasons(words, error.reasons)


def _ingested(found: Mapping[str, Any], sent: int) -> Ingested:
    count, size, moment = (found.get(key) for key in ("events_ingested", "payload_size_bytes", "server_upload_time"))
    return Ingested(
        count if isinstance(count, int) else sent,
        size if isinstance(size, int) else None,
        datetime.fromtimestamp(moment / 1000, UTC) if isinstance(moment, int) else None,
        found,
    )


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _indexes(found: object) -> tuple[int, ...]:
    return tuple(item for item in found if type(item) is int) if isinstance(found, list) else ()


def _rates(found: object) -> dict[str, int]:
    return {str(key): value for key, value in found.items() if type(value) is int} if isinstance(found, dict) else {}
