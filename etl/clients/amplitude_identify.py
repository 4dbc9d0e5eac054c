"""Changing the properties of users and groups without an event: Identify and Group Identify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from etl.clients.amplitude_answers import in_doubt, surely_not_done
from etl.clients.amplitude_base import AmplitudeBase
from etl.clients.amplitude_names import as_list, named
from etl.clients.amplitude_tracking import encoded
from etl.clients.meanings import Meaning
from etl.clients.retry import retry
from etl.errors import (
    BadRequest,
    ConfigurationError,
    CredentialsError,
    FatalError,
    PayloadTooLarge,
    ProfilemillError,
    ServerError,
    TransientError,
)
from etl.faults import nearest
from etl.groups import groups_of

REPEATABLE = ("$set", "$setOnce", "$preInsert", "$postInsert", "$remove", "$unset", "$clearAll")
OPERATIONS = (*REPEATABLE, "$add", "$append", "$prepend")
MOST_AT_ONCE = 1024
_FORM = "application/x-www-form-urlencoded"
_SUCCESS = "success"
# Of the form's 1 MB; between two identifications stands `%2C`.
_ROOM, _COMMA = 1_000_000 - 1024, 3
_MEANINGS = {
    400: Meaning(BadRequest, "Amplitude refused the identification"),
    403: Meaning(FatalError, "Amplitude's firewall refused the identification"),
    413: Meaning(PayloadTooLarge, "The identification is too large", "send fewer users or properties at once"),
    414: Meaning(PayloadTooLarge, "The identification is too large", "send fewer users or properties at once"),
}


class Identifying(AmplitudeBase):
    def identify(self, identifications: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        """Sets or changes properties of one user or several (at most 1,024), seen from their next event on.

        Each has `user_id` or `device_id` (or the client's defaults) and `user_properties`: plain keys, which are set, or
        operations ($set, $setOnce, $add, $append, $prepend, $preInsert, $postInsert, $remove, $unset, $clearAll), never
        both. camelCase keys are accepted as by `track`. Raises ConfigurationError before anything is sent. It is sent
        again after a TransientError, but with $add, $append or $prepend only where the server surely did nothing.
        """
        self._send_form("/identify", self._identifications(identifications), "user_properties")

    def identify_all(self, identifications: Iterable[Mapping[str, Any]]) -> Iterator[int]:
        """Any number of them, as `identify` does, in as few requests as its limits (1,024, 1 MB) allow: how many each held.

        All are checked before the first request. Stops at the first error, whose `where` says how many were
        `acknowledged` before.
        """
        ready = self._identifications(identifications)
        done = 0
        try:
            for part in groups_of(ready, lambda item: len(_quoted(item)) + _COMMA, most_items=MOST_AT_ONCE, most_size=_ROOM):
                self._send_form("/identify", part, "user_properties")
                done += len(part)
                yield len(part)
        except ProfilemillError as error:
            error.at(acknowledged=done)
            raise

    def group_identify(self, group_type: str, group_value: str | Iterable[str], group_properties: Mapping[str, Any]) -> None:
        """Sets or changes properties of one group or several of a type, as `identify` does those of users."""
        values = [group_value] if isinstance(group_value, str) else list(group_value)
        if not group_type or not values or not all(values):
            raise ConfigurationError("A group needs a type and a value", value=f"{group_type}: {values}")
        check_properties(group_properties, "group_properties", 0)
        ready = [{"group_type": group_type, "group_value": value, "group_properties": group_properties} for value in values]
        self._send_form("/groupidentify", ready, "group_properties")

    def _identifications(self, given: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        ids = {name: value for name, value in self._defaults.items() if name != "session_id"}  # which is of events alone
        ready = [named(item, ids) for item in as_list(given, "an identification")]
        for index, item in enumerate(ready):
            if not item.get("user_id") and not item.get("device_id"):
                raise ConfigurationError("An identification needs user_id or device_id", where={"index": index})
            check_properties(item.get("user_properties"), "user_properties", index)
        return ready

    def _send_form(self, path: str, items: list[dict[str, Any]], key: str) -> None:
        if len(items) > MOST_AT_ONCE:
            raise ConfigurationError(
                f"At most {MOST_AT_ONCE:,} can be changed at once", value=f"{len(items):,}", next_step="send them in parts"
            )
        form = {"api_key": self._api_key.reveal(), "identification": encoded(items).decode()}
        body = urlencode(form).encode()
        repeatable = not any(name in OPERATIONS and name not in REPEATABLE for item in items for name in item.get(key) or ())

        def attempt() -> None:
            with self._ingestion.post(path, body, _FORM, signed=False, accepted=(200, 400), meanings=_MEANINGS) as answer:
                text = answer.text()
                if answer.status == 400:
                    wrong_key = "api key" in text.lower() or "api_key" in text.lower()
                    wrong = Meaning(CredentialsError, "Amplitude does not know the API key", "check the API key and the region")
                    raise self._ingestion.error(answer, {400: wrong} if wrong_key else _MEANINGS, text)
                if text.strip() != _SUCCESS:
                    raise self._ingestion.error(answer, {200: Meaning(ServerError, "Amplitude did not answer with success")}, text)

        def worth_it(error: TransientError) -> bool:
            return repeatable or surely_not_done(error)

        try:
            retry(attempt, policy=self._retry, clock=self._clock, allowed=worth_it)
        except ProfilemillError as error:
            if not repeatable:
                in_doubt(error, "it may have been done: look at the properties before it is sent again, which could count twice")
            raise


def _quoted(item: Mapping[str, Any]) -> str:
    return quote_plus(encoded(item))


def check_properties(properties: object, key: str, index: int) -> None:
    """Raises ConfigurationError unless these are all plain properties or all known operations with fitting values."""
    place: dict[str, object] = {"index": index, "field": key}
    if not isinstance(properties, Mapping) or not properties:
        raise ConfigurationError("There are no properties to change", where=place, next_step=f"give {key} as an object that is not empty")
    operations = [name for name in properties if str(name).startswith("$")]
    if not operations:
        return
    plain = [name for name in properties if name not in operations]
    if plain:
        raise ConfigurationError(
            "Operations and plain properties cannot be mixed",
            where=place,
            value=", ".join(map(str, [*operations, *plain])),
            next_step=f"put the plain ones into $set: {{'$set': {{{plain[0]!r}: ...}}}}",
        )
    for name in operations:
        if name not in OPERATIONS:
            known = "there are " + ", ".join(OPERATIONS)
            near = nearest(name, OPERATIONS)
            raise ConfigurationError("Unknown operation", where=place, value=name, next_step=f"{near} {known}" if near else known)
        content = properties[name]
        if name == "$clearAll":
            continue
        if not isinstance(content, Mapping):
            raise ConfigurationError("An operation needs an object of properties", where={**place, "operation": name})
        if name == "$add":
            for one, value in content.items():
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ConfigurationError(
                        "$add needs numbers", where={**place, "property": one}, value=f"{value!r}", next_step="use $set for anything else"
                    )
