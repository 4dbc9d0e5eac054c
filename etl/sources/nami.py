"""Events of Nami ML, as its webhooks bring them (amplitude-api.md 9).

A record is the webhook with `added`: the id that was chosen as the user's (`user_id`), and of `user.*` events the ids inside of
its lists (`entitlement_ref_ids`, `sku_ref_ids`, `device_ids`, `device_platform_ids`), each where the webhook has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from etl.errors import ConfigurationError
from etl.faults import nearest
from etl.jobs_forwarding import NamiEvent
from etl.sources.webhooks import ADDED, Named, Record, Skipped, texts

EVENT_TYPES: tuple[str, ...] = get_args(NamiEvent)
UserId = Literal["external_id", "nami_user_id"]

_LISTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "entitlement_ref_ids": ("active_entitlements", lambda entitlement: entitlement.get("entitlement_ref_id")),
    "sku_ref_ids": ("active_entitlements", lambda entitlement: entitlement.get("sku_ref_id")),
    "device_ids": ("devices", lambda device: device.get("id")),
    "device_platform_ids": ("devices", lambda device: _inner(device, "platform").get("id")),
}


@dataclass(frozen=True)
class NamiOptions:
    """Which events are sent on (none named: all 13), and which of the two ids is the user's.

    Raises ConfigurationError for an event type that cannot be sent on.
    """

    events: frozenset[str] = frozenset()
    user_id: UserId = "external_id"

    def __post_init__(self) -> None:
        for name in sorted(self.events - set(EVENT_TYPES)):
            hint = nearest(name, EVENT_TYPES) or f"known: {', '.join(EVENT_TYPES)}"
            raise ConfigurationError(f"Nami's event {name!r} cannot be sent on", next_step=hint)
        if self.user_id not in get_args(UserId):
            raise ConfigurationError(f"there is no user id {self.user_id!r}", next_step="external_id or nami_user_id")


def records(webhook: Mapping[str, Any], options: NamiOptions) -> Iterator[Record | Skipped]:
    """The record of a webhook. Skipped: `not_selected`, and `no_external_id` or `no_nami_user_id` where the id is missing."""
    event_type = webhook.get("event_type")
    if not isinstance(event_type, str) or event_type not in (options.events or EVENT_TYPES):
        yield Skipped("not_selected")
        return
    user_id = webhook.get("user_id") if options.user_id == "nami_user_id" else _external_id(webhook)
    if user_id is None or not str(user_id):
        yield Skipped(f"no_{options.user_id}")
        return
    added: Record = {"user_id": str(user_id)}
    if event_type.startswith("user."):
        added |= {name: _ids(webhook[member], id_of) for name, (member, id_of) in _LISTS.items() if isinstance(webhook.get(member), list)}
    yield {**webhook, ADDED: added}


def named(webhook: Mapping[str, Any]) -> Named:
    """Whom an event is about: Nami's own id, every id that the app or a store gave, and the devices."""
    external = [one.get("value") for one in _members(webhook, "external_ids")]
    devices = [one.get("id") for one in _members(webhook, "devices")]
    return Named(texts(webhook.get("user_id"), webhook.get("external_id"), *external), texts(webhook.get("device_id"), *devices))


def _members(webhook: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = webhook.get(name)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _external_id(webhook: Mapping[str, Any]) -> Any:
    """The id that the app gave at login: among `external_ids`, or beside the other members."""
    for one in _members(webhook, "external_ids"):
        if one.get("key") == "external_id":
            return one.get("value")
    return webhook.get("external_id")


def _ids(members: list[Any], id_of: Callable[[Mapping[str, Any]], Any]) -> list[str]:
    found = (id_of(member) for member in members if isinstance(member, Mapping))
    return list(dict.fromkeys(str(one) for one in found if one is not None))


def _inner(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = members.get(name)
    return inner if isinstance(inner, Mapping) else {}
