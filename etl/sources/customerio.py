"""Reporting webhooks of Customer.io (amplitude-api.md 8).

A record is the webhook with `added`: `account_id` and `workspace_id` where they are configured (webhooks do not tell them), and
`recipients`, how many devices a push went to. Such a push gives a record for each device, whose `data.recipients` is that
device alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etl.errors import ConfigurationError
from etl.faults import nearest
from etl.sources.webhooks import ADDED, Named, Record, Skipped, texts

_METRICS = {
    "customer": "subscribed unsubscribed cio_subscription_preferences_changed",
    "email": "drafted attempted sent delivered opened clicked converted unsubscribed subscribed bounced dropped deferred spammed failed"
    " undeliverable",
    "sms": "drafted attempted sent delivered clicked converted bounced failed",
    "push": "drafted attempted sent delivered opened clicked converted bounced dropped failed undeliverable",
    "in_app": "drafted attempted sent opened clicked converted failed",
    "slack": "drafted attempted sent clicked failed dropped",
    "webhook": "drafted attempted sent clicked failed dropped",
}
EVENTS = tuple(f"{kind}_{metric}" for kind, metrics in _METRICS.items() for metric in metrics.split())

# What "Body Content" adds to the events of messages; of a customer's event `content` holds preferences.
_BODY = ("content", "headers")
_PREFERENCES = "customer"


@dataclass(frozen=True)
class CustomerioOptions:
    """Which events are sent on, as `email_sent` (none named: all); whether the texts of messages are; and the two ids of groups.

    Raises ConfigurationError for an event that there is not.
    """

    events: frozenset[str] = frozenset()
    body_content: bool = False
    account_id: str | None = None
    workspace_id: str | None = None

    def __post_init__(self) -> None:
        for name in sorted(self.events - set(EVENTS)):
            hint = nearest(name, EVENTS) or "named by object and metric, for example email_sent"
            raise ConfigurationError(f"Customer.io has no event {name!r}", next_step=hint)


def records(webhook: Mapping[str, Any], options: CustomerioOptions) -> Iterator[Record | Skipped]:
    """The records of a webhook. Skipped: `not_selected`, and `no_id_or_device` (of each device that has no id)."""
    kind, metric = webhook.get("object_type"), webhook.get("metric")
    if options.events and f"{kind}_{metric}" not in options.events:
        yield Skipped("not_selected")
        return
    found = webhook.get("data")
    data = dict(found) if isinstance(found, Mapping) else {}
    if kind != _PREFERENCES and not options.body_content:
        for name in _BODY:
            data.pop(name, None)
    recipients = _recipients(data.pop("recipients", None))
    added: Record = {"account_id": options.account_id, "workspace_id": options.workspace_id, "recipients": len(recipients)}
    added = {name: value for name, value in added.items() if value is not None}
    known = _has_user(data)
    for recipient in recipients or [{}]:
        if not known and not recipient.get("device_id"):
            yield Skipped("no_id_or_device")
        else:
            yield {**webhook, "data": {**data, "recipients": recipient} if recipient else data, ADDED: added}


def named(webhook: Mapping[str, Any]) -> Named:
    """Whom an event is about: ids, e-mail addresses and phone numbers, and the devices of a push."""
    found = webhook.get("data")
    data = found if isinstance(found, Mapping) else {}
    identifiers = data.get("identifiers")
    ids = identifiers if isinstance(identifiers, Mapping) else {}
    # A recipient of Slack or a webhook is a channel or a URL.
    recipient = data.get("recipient") if webhook.get("object_type") in ("email", "sms") else None
    people = texts(data.get("customer_id"), *(ids.get(name) for name in ("id", "email", "cio_id")), data.get("email_address"), recipient)
    return Named(people, texts(*(one.get("device_id") for one in _recipients(data.get("recipients")))))


def _recipients(found: Any) -> list[dict[str, Any]]:
    listed = found if isinstance(found, list) else [found]
    return [dict(one) for one in listed if isinstance(one, Mapping)]


def _has_user(data: Mapping[str, Any]) -> bool:
    """Whether the event is of a person with an id; the id 0 needs the e-mail address that takes its place."""
    found = data.get("identifiers")
    identifiers = found if isinstance(found, Mapping) else {}
    id_ = identifiers.get("id")
    return id_ is not None and str(id_) != "" and (str(id_) != "0" or bool(identifiers.get("email")))
