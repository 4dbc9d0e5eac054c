"""When to try again, and how long to wait before: the one retry policy of all clients."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from etl.errors import TransientError
from etl.settings import Clock

log = logging.getLogger("etl.clients")

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """At most `attempts` tries within `total` of wall time, whichever ends first.

    The n-th wait is `first` seconds doubled n-1 times, at most `longest`, of which a random half is taken off: `jitter`
    gives a number from 0 to 1. A wait that the server asks for is kept in full. A wait that would end
    after `total` is not begun: the error is raised at once, with its `delay`, for a caller who has more time.
    """

    attempts: int = 5
    total: timedelta = timedelta(minutes=30)
    first: float = 1.0
    longest: float = 60.0
    jitter: Callable[[], float] = random.random

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after the `attempt`-th failure (from 1), when the server asked for `asked`."""
        backoff = min(self.longest, self.first * 2.0 ** min(attempt - 1, 60)) * (1.0 - self.jitter() / 2)
        return max(backoff, asked or 0.0)


ONCE = RetryPolicy(attempts=1)


def retry(
    call: Callable[[], T],
    *,
    policy: RetryPolicy,
    clock: Clock,
    allowed: Callable[[TransientError], bool] = lambda error: True,
) -> T:
    """What `call` returns, tried again while it raises a `TransientError` that is `allowed`.

    The last error is raised as it is, with the number of attempts in its `where` if there were several. Each repetition
    is logged as a warning by `etl.clients`.
    """
    started = clock.now()

    def worth_it(error: BaseException) -> bool:
        return isinstance(error, TransientError) and allowed(error)

    def wait(state: RetryCallState) -> float:
        return policy.wait(state.attempt_number, _failure(state).delay)

    def stop(state: RetryCallState) -> bool:
        late = (clock.now() - started).total_seconds() + state.upcoming_sleep > policy.total.total_seconds()
        return late or state.attempt_number >= policy.attempts

    def announce(state: RetryCallState) -> None:
        error = _failure(state)
        log.warning(
            'retry attempt=%d of=%d wait=%.1f error=%s status=%s request="%s" what="%s"',
            state.attempt_number,
            policy.attempts,
            state.upcoming_sleep,
            type(error).__name__,
            error.status,
            error.where.get("request", "-"),
            error.what,
        )

    retrying = Retrying(
        sleep=clock.sleep,
        retry=retry_if_exception(worth_it),
        wait=wait,
        stop=stop,
        before_sleep=announce,
        reraise=True,
    )
    try:
        return retrying(call)
    except TransientError as error:
        attempts = retrying.statistics.get("attempt_number", 1)
        if attempts > 1:
            error.at(attempts=attempts)
        raise


def _failure(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientError)
    return error


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or an HTTP date seen from `now`; else None."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    return seconds if isfinite(seconds) and seconds >= 0 else None
