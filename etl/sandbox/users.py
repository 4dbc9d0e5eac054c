"""Who the sandbox knows by the ids that were sent: one amplitude_id each, and their properties."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_FIRST_ID = 900_000_000_001
_DEVICES = uuid.UUID("6f1d4c1e-8d0a-5b7e-9c55-2f6e1a3b7d90")


@dataclass
class KnownUser:
    """One person as Amplitude sees them; anonymous while `user_id` is None."""

    amplitude_id: int
    user_id: str | None
    device_ids: list[str] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    start_version: str | None = None
    paying: bool | None = None


class Users:
    """Everybody known; not safe by itself to use from several threads."""

    def __init__(self, known: Iterable[tuple[int, str | None]]) -> None:
        """`known` holds (amplitude_id, user_id) of people that the data has already; the first id of a user counts."""
        self._by_user: dict[str, KnownUser] = {}
        self._by_device: dict[str, KnownUser] = {}
        self._every: dict[int, KnownUser] = {}
        for amplitude_id, user_id in known:
            if user_id and user_id not in self._by_user:
                self._by_user[user_id] = self._every[amplitude_id] = KnownUser(amplitude_id, user_id)
        self._next = _FIRST_ID

    def resolve(self, user_id: str | None, device_id: str | None) -> KnownUser:
        """The person of these ids, made where there is none.

        A user id alone decides; an anonymous device becomes that of the first user seen on it.
        """
        on_device = self._by_device.get(device_id) if device_id else None
        if user_id is None:
            user = on_device or self._new(None)
        else:
            user = self._by_user.get(user_id) or (on_device if on_device and on_device.user_id is None else self._new(user_id))
            user.user_id = user_id
            self._by_user[user_id] = user
        if device_id:
            self._by_device[device_id] = user
            if device_id not in user.device_ids:
                user.device_ids.append(device_id)
        return user

    def get(self, amplitude_id: int) -> KnownUser | None:
        return self._every.get(amplitude_id)

    def every(self) -> list[KnownUser]:
        return list(self._every.values())

    def _new(self, user_id: str | None) -> KnownUser:
        user = KnownUser(self._next, user_id)
        self._every[self._next] = user
        self._next += 1
        return user


def device_of(user_id: str) -> str:
    """The device id that an event gets which names a user only."""
    return str(uuid.uuid5(_DEVICES, user_id))
