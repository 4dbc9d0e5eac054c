"""Every error that Profilemill raises, grouped by what the caller should do next.

::

    ProfilemillError
    ├── ConfigurationError        fix what is named, then run again
    │   ├── CredentialsError      401 or 403: wrong key, or the right key in the wrong region
    │   └── MappingError          a mapping document with faults, all of them listed
    ├── TransientError            try again, after `delay` seconds where it is known
    │   ├── NetworkError          no answer, or an answer cut short
    │   ├── ServerError           5xx, 408, or an answer that makes no sense
    │   ├── Throttled             429
    │   │   └── EventsThrottled   429 of an upload, with the events concerned
    │   └── DamagedDownload       a 200 whose body is not what was asked for
    ├── QuotaExhausted            stop asking until `until`
    ├── DataError                 one record, file, hour or cohort; set it aside and go on
    │   ├── NoData                404 of an export: nothing in these hours
    │   ├── WindowTooLarge        400 or 504 of an export: ask for fewer hours
    │   ├── BadRequest            400, or another 4xx without a place of its own
    │   │   └── InvalidEvents     400 of an upload, with the events at fault
    │   ├── PayloadTooLarge       413: send less at once
    │   ├── NotFound              404 of anything else
    │   ├── RequestExpired        a cohort request or its file that is no longer there
    │   └── SnapshotRefused       a cohort file that must not be believed (short, or too many exits)
    └── FatalError                nothing here helps without a person
        ├── DeadlineExceeded      a wait that took longer than allowed
        └── LakeConflict          another writer was faster, again and again

Attributes come first (`what`, `where`, `value`, `next_step`); the message is made from them.
No credential may be put into any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

_LONGEST_VALUE = 200


class ProfilemillError(Exception):
    """What happened (`what`), the place (`where`), the offending text (`value`), the remedy (`next_step`).

    `where` maps words such as job, hour, member, line, field to their values, in reading order.
    `value` is cut at 200 characters. Where an HTTP answer was the cause, `status` is its status and `body` the first
    300 characters of its text, cleaned of credentials.
    """

    status: int | None = None
    body: str | None = None

    def __init__(
        self,
        what: str,
        *,
        where: Mapping[str, object] | None = None,
        value: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where: dict[str, str] = {key: str(item) for key, item in (where or {}).items() if item is not None}
        self.value = value if value is None or len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
        self.next_step = next_step

    def at(self, **where: object) -> ProfilemillError:
        """The same error with more of its place known; what was known already is kept."""
        self.where = {key: str(item) for key, item in where.items() if item is not None} | self.where
        return self

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += " (" + ", ".join(f"{key} {item}" for key, item in self.where.items()) + ")"
        if self.value is not None:
            text += f": {self.value}"
        if self.next_step:
            text += f"\n  Next: {self.next_step}"
        return text


class ConfigurationError(ProfilemillError):
    """The configuration or the command is at fault; running again unchanged fails again."""


class CredentialsError(ConfigurationError):
    """The API refused the credentials (401 or 403)."""


class MappingError(ConfigurationError):
    """A mapping document has faults; `what` lists them all, each with its place."""


class TransientError(ProfilemillError):
    """May succeed when tried again; `delay` is the wait in seconds that the server asked for, if it did."""

    def __init__(
        self,
        what: str,
        *,
        delay: float | None = None,
        where: Mapping[str, object] | None = None,
        value: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, where=where, value=value, next_step=next_step)
        self.delay = delay


class NetworkError(TransientError):
    """No answer arrived, or it broke off; `maybe_done` says that the server may have acted on the request."""

    maybe_done: bool = False


class ServerError(TransientError):
    """The server answered 5xx or 408, or something that makes no sense where it stands."""


class Throttled(TransientError):
    """The server answered 429."""


class EventsThrottled(Throttled):
    """Amplitude refused a whole upload for some users or devices that send too much; all of it must be sent again.

    `events` are their indexes in the upload; `devices` and `users` map ids to events per second. The ids in `daily_devices`
    and `daily_users` have used up their day.
    """

    events: tuple[int, ...] = ()
    devices: Mapping[str, int] = MappingProxyType({})
    users: Mapping[str, int] = MappingProxyType({})
    daily_devices: Mapping[str, int] = MappingProxyType({})
    daily_users: Mapping[str, int] = MappingProxyType({})


class DamagedDownload(TransientError):
    """The server answered 200 with a body that is truncated or of another type."""


class QuotaExhausted(ProfilemillError):
    """A quota is used up; asking again before `until` (None: unknown) only costs time."""

    def __init__(
        self,
        what: str,
        *,
        until: datetime | None = None,
        where: Mapping[str, object] | None = None,
        value: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, where=where, value=value, next_step=next_step)
        self.until = until


class DataError(ProfilemillError):
    """One record, file, hour or cohort is at fault; the rest can go on."""


class NoData(DataError):
    """The export answered 404: there are no events in these hours."""


class WindowTooLarge(DataError):
    """The export answered 400 or 504; asking for fewer hours may help."""


class BadRequest(DataError):
    """The server answered 400, or another 4xx that has no class of its own."""


class InvalidEvents(BadRequest):
    """Amplitude refused a whole upload for some of its events; without those the others may be sent again.

    `reasons` maps the index of each event at fault to why; Amplitude may name the first one of a kind only.
    `silenced` are those that no later attempt helps either. `throttled` are those that may come later.
    """

    reasons: Mapping[int, str] = MappingProxyType({})
    silenced: tuple[int, ...] = ()
    throttled: tuple[int, ...] = ()


class PayloadTooLarge(DataError):
    """The server answered 413; half of it may pass."""


class NotFound(DataError):
    """The server answered 404 for something that was named."""


class RequestExpired(DataError):
    """The cohort request, or the file behind it, is no longer there; ask again once."""


class SnapshotRefused(DataError):
    """A cohort file that says too little to be believed, or more exits than allowed."""


class FatalError(ProfilemillError):
    """Something that neither waiting nor setting aside solves."""


class DeadlineExceeded(FatalError):
    """A wait took longer than its deadline."""


class LakeConflict(FatalError):
    """Another writer changed the same table first, more often than is plausible."""
