"""What Amplitude's answers mean where their status alone does not say it, and what may be asked at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from etl.clients.http import Answer
from etl.clients.meanings import Meaning
from etl.errors import (
    ConfigurationError,
    NetworkError,
    NoData,
    ProfilemillError,
    QuotaExhausted,
    RequestExpired,
    ServerError,
    Throttled,
    TransientError,
    WindowTooLarge,
)

LONGEST_EXPORT = timedelta(days=365)
_SMALLER = "ask for fewer hours; a single hour that is too large can only be read through Amplitude's S3 export"
EXPORT_MEANINGS = {
    404: Meaning(NoData, "There are no events in these hours"),
    400: Meaning(WindowTooLarge, "Amplitude refused the export: most likely it is too large", _SMALLER),
    504: Meaning(WindowTooLarge, "Amplitude gave up building the export", _SMALLER),
}


def segment(text: str, kind: str) -> str:
    if text.strip(".") == "":
        raise ConfigurationError(f"This is not the id of a {kind}", value=text)
    return quote(text, safe="")


def is_monthly(error: ProfilemillError) -> bool:
    """The 429s of the monthly quota, of the rate and of the parallel limit differ only in their text."""
    text = (error.body or "").lower()
    short = any(word in text for word in ("minute", "second", "concurrent", "parallel", "rate limit"))
    return isinstance(error, Throttled) and ("month" in text or ("quota" in text and not short))


def exhausted(error: ProfilemillError, now: datetime, cohort_id: str) -> QuotaExhausted:
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    quota = QuotaExhausted(
        "The month's cohort requests are used up",
        until=first,
        where={"cohort": cohort_id, **error.where},
        value=error.value,
        next_step=f"wait until {first:%Y-%m-%d} UTC; cohorts that have not changed need no request",
    )
    quota.status, quota.body = error.status, error.body
    return quota


def counted_already(error: TransientError) -> NetworkError:
    known = NetworkError("Amplitude accepted the request, then its answer could not be read", where=error.where)
    known.maybe_done = True
    return known


def surely_not_done(error: TransientError) -> bool:
    """Whether a request that changes something changed nothing, so that it may be sent again whatever it does."""
    if isinstance(error, NetworkError):
        return not error.maybe_done
    return error.status in (429, 503)


def in_doubt(error: ProfilemillError, next_step: str) -> None:
    """Says what to do where a change that must not be made twice may have been made: not to run it again unseen."""
    if isinstance(error, TransientError) and not surely_not_done(error):
        error.next_step = next_step


def refused_link(answer: Answer) -> ProfilemillError:
    """What a file store's refusal means. Its body quotes the signature, so nothing of it is kept."""
    place = {"status": answer.status, "request": answer.request}
    if answer.status in (404, 410):
        step = "ask for the cohort again, once"
        error: ProfilemillError = RequestExpired("The file of this cohort is gone", where=place, next_step=step)
    elif answer.status == 429:
        error = Throttled("The file store asks to slow down", where=place)
    elif answer.status == 403:
        error = ServerError("The file store refused the address: it is valid for a minute only", where=place)
    else:
        error = ServerError("The file store failed", where=place)
    error.status = answer.status
    return error


def is_foreign_page(error: NoData) -> bool:
    """A proxy's 404 page, or that of a wrong base URL, must not count as "no events"."""
    body = (error.body or "").lower()
    return body.startswith("<") and "raw data" not in body


def export_parameters(first_hour: datetime, last_hour: datetime) -> list[tuple[str, str]]:
    """The query of an export; ConfigurationError for hours that cannot be asked for."""
    first, last = checked_hours(first_hour, last_hour)
    return [("start", first.strftime("%Y%m%dT%H")), ("end", last.strftime("%Y%m%dT%H"))]


def checked_hours(first: datetime, last: datetime) -> tuple[datetime, datetime]:
    given = f"{first.isoformat()} to {last.isoformat()}"
    step = "give both hours in UTC, such as 2024-03-02T00:00+00:00; both are included"
    problem = None
    if first.tzinfo is None or last.tzinfo is None:
        problem = "The hours of an export need a time zone"
    else:
        first, last = first.astimezone(UTC), last.astimezone(UTC)
        if any(hour.minute or hour.second or hour.microsecond for hour in (first, last)):
            problem = "An export starts and ends on the hour"
        elif last < first:
            problem = "An export cannot end before it starts"
        elif last - first + timedelta(hours=1) > LONGEST_EXPORT:
            problem = "An export covers at most 365 days"
    if problem:
        raise ConfigurationError(problem, value=given, next_step=step)
    return first, last
