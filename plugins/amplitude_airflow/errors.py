"""Profilemill's errors as Airflow's: which end a task at once, and which let it be tried again.

::

    TransientError, DeadlineExceeded, LakeConflict     TryAgain, after the delay that the server asked for
    RequestExpired                                     TryAgain (the operator has forgotten the request)
    everything else                                    AirflowFailException: trying again unchanged fails again

The text is the whole text of the error (what, where, next step) and the job, so that a task's log says what to do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from airflow.sdk import Context, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from etl.errors import (
    DeadlineExceeded,
    LakeConflict,
    ProfilemillError,
    QuotaExhausted,
    RequestExpired,
    TransientError,
)

log = logging.getLogger(__name__)

_AGAIN = (TransientError, DeadlineExceeded, LakeConflict, RequestExpired)


class TryAgain(AirflowException):
    """May succeed when tried again, `delay` seconds from now at the earliest (None: as the task says)."""

    def __init__(self, text: str, delay: float | None = None) -> None:
        super().__init__(text)
        self.delay = delay


class DelayPolicy(RetryPolicy):
    """Retries after the delay that a server asked for; without one as the task's own settings say."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None) -> RetryDecision:
        if isinstance(exception, TryAgain) and exception.delay:
            return RetryDecision.retry(timedelta(seconds=exception.delay), "the server asked for this delay")
        return RetryDecision.default()


def airflow_error(error: ProfilemillError, *, job: str) -> AirflowException:
    """The error that a task raises for one of Profilemill's."""
    text = str(error)
    if isinstance(error, QuotaExhausted) and error.until is not None:
        text += f"\n  Not before: {error.until:%Y-%m-%d %H:%M} UTC"
    text += f"\n  Job: {job}"
    if isinstance(error, _AGAIN):
        return TryAgain(text, getattr(error, "delay", None))
    return AirflowFailException(text)


@contextmanager
def airflow_errors(job: str) -> Iterator[None]:
    """Turns Profilemill's errors inside the block into Airflow's."""
    try:
        yield
    except ProfilemillError as error:
        # `from None`: Airflow would print the same text twice. Where it came from is in the log at debug level.
        log.debug("the cause", exc_info=error)
        raise airflow_error(error, job=job) from None
