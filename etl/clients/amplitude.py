"""Amplitude's APIs for one project, usable alone: cohorts and the export of events here, the others in the files beside.

::

    with AmplitudeClient("0123...", Secret("4567..."), region="eu") as client:
        request_id = client.request_cohort("a1b2c3d", props=True)
        client.wait_for_cohort(request_id)
        client.download_cohort(request_id, Path("members.csv"))
        client.track({"event_type": "Order Completed", "user_id": "u-1042"})

Any method may raise CredentialsError (401 or 403: right keys in the wrong region look the same), and, after the
retries of its policy, a TransientError (network, 5xx, 429, damaged answer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from etl.clients.amplitude_answers import (
    EXPORT_MEANINGS,
    counted_already,
    exhausted,
    export_parameters,
    is_foreign_page,
    is_monthly,
    refused_link,
    segment,
)
from etl.clients.amplitude_base import HOSTS, INGESTION_HOSTS, AmplitudeBase
from etl.clients.amplitude_cohort_changes import CohortChanges, CohortUpload, MembershipChange
from etl.clients.amplitude_dashboard import Dashboard, UserActivity, UserMatch, UserSearch
from etl.clients.amplitude_identify import Identifying
from etl.clients.amplitude_models import (
    Cohort,
    CohortState,
    CohortStatus,
    CohortUsage,
    PollPolicy,
    cohort_from,
    status_from,
    usage_from,
)
from etl.clients.amplitude_segmentation import Segmentation, SegmentationQuery
from etl.clients.amplitude_tracking import BATCH, HTTP_V2, Endpoint, Ingested, Tracking, requests_of
from etl.clients.download import (
    DownloadedFile,
    archive_only,
    check_archive,
    counted,
    damaged_members,
    save,
    table_only,
    unpacked,
)
from etl.clients.http import Answer
from etl.clients.meanings import Meaning
from etl.clients.retry import ONCE, retry
from etl.errors import (
    CredentialsError,
    DamagedDownload,
    DataError,
    DeadlineExceeded,
    NoData,
    NotFound,
    ProfilemillError,
    RequestExpired,
    ServerError,
    Throttled,
    TransientError,
)
from etl.settings import Secret

__all__ = [
    "BATCH",
    "HOSTS",
    "HTTP_V2",
    "INGESTION_HOSTS",
    "AmplitudeClient",
    "Cohort",
    "CohortState",
    "CohortStatus",
    "CohortUpload",
    "CohortUsage",
    "DownloadedFile",
    "Endpoint",
    "Ingested",
    "MembershipChange",
    "PollPolicy",
    "Segmentation",
    "SegmentationQuery",
    "UserActivity",
    "UserMatch",
    "UserSearch",
    "damaged_members",
    "requests_of",
]

STATUS_ATTEMPTS = 3
STATUS_TOTAL = timedelta(minutes=1)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_HOPS = 3


class AmplitudeClient(Tracking, Identifying, Dashboard, CohortChanges, AmplitudeBase):
    """One Amplitude project. Threads may share it; it holds no connection of another thread."""

    # Cohorts

    def list_cohorts(self) -> list[Cohort]:
        """All discoverable cohorts, in the API's order; an entry without an id is left out."""

        def attempt() -> list[Cohort]:
            with self._http.get("/api/3/cohorts") as answer:
                found = answer.json().get("cohorts")
                if not isinstance(found, list):
                    raise DamagedDownload("The list of cohorts has no cohorts", where={"request": answer.request})
                return [cohort for item in found if (cohort := cohort_from(item))]

        return retry(attempt, policy=self._retry, clock=self._clock)

    def request_cohort(self, cohort_id: str, *, props: bool, property_keys: Sequence[str] = (), last_computed: int | None = None) -> str:
        """Asks for a cohort's members and returns the request id; **each call may cost one of 500 requests a month**.

        `props` asks for all user properties, or those of `property_keys`. Keep the id: another process can go on with
        it. Repeated only where the server has not answered 202: no connection, a connection closed without
        an answer, 5xx, 429. After a read time-out the request may have been counted, so NetworkError is raised at once
        (`maybe_done`). Raises NotFound (400, 404) and QuotaExhausted (a 429 that speaks of the month).
        """
        params = [("props", "1" if props else "0"), *(("propKeys", key) for key in property_keys if props)]
        if last_computed is not None:
            params.append(("lastComputed", str(last_computed)))
        unknown = Meaning(
            NotFound,
            "Amplitude does not give this cohort",
            "it is unknown, archived or not published: compare its id with the list of cohorts",
        )
        path = f"/api/5/cohorts/request/{segment(cohort_id, 'cohort')}"

        def attempt() -> dict[str, object]:
            with self._http.get(path, params=params, accepted=(200, 202), meanings={400: unknown, 404: unknown}) as answer:
                try:
                    return answer.json()
                except TransientError as error:
                    raise counted_already(error) from None

        def worth_it(error: TransientError) -> bool:
            return not is_monthly(error) and not getattr(error, "maybe_done", False)

        try:
            found = retry(attempt, policy=self._retry, clock=self._clock, allowed=worth_it)
        except ProfilemillError as error:
            if is_monthly(error):
                raise exhausted(error, self._clock.now(), cohort_id) from None
            error.at(cohort=cohort_id)
            raise
        request_id = found.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise ServerError("Amplitude accepted the request and gave no request id", where={"cohort": cohort_id})
        return request_id

    def cohort_status(self, request_id: str) -> CohortStatus:
        """How a request stands. A 429 counts as running, with the delay asked for, if any.

        One request, repeated at most twice within a minute on 5xx and network failures. The HTTP status decides; the
        text only tells a failed job apart. Raises RequestExpired (404, 410), BadRequest (other 4xx).
        """
        gone = Meaning(RequestExpired, "Amplitude does not know this cohort request", "ask for the cohort again, once")
        path = f"/api/5/cohorts/request-status/{segment(request_id, 'request')}"

        def attempt() -> CohortStatus:
            with self._http.get(path, accepted=(200, 202), meanings={404: gone, 410: gone}) as answer:
                return status_from(answer.status, answer.json())

        policy = replace(
            self._retry,
            attempts=min(self._retry.attempts, STATUS_ATTEMPTS),
            total=min(self._retry.total, STATUS_TOTAL),
        )
        try:
            return retry(attempt, policy=policy, clock=self._clock, allowed=lambda error: not isinstance(error, Throttled))
        except Throttled as error:
            return CohortStatus(CohortState.RUNNING, "polled too fast", error.delay)

    def wait_for_cohort(
        self,
        request_id: str,
        *,
        deadline: timedelta = timedelta(minutes=30),
        poll: PollPolicy | None = None,
        on_poll: Callable[[CohortStatus], None] | None = None,
    ) -> None:
        """Returns once the file can be downloaded; looks once more when the deadline has come.

        Up to `poll.odd` failures of the status request in a row are passed over. Raises DeadlineExceeded, and DataError
        if Amplitude says that the job failed.
        """
        poll = poll or PollPolicy()
        end = self._clock.now() + deadline
        pause, odd, last = poll.first, 0, "no answer"
        if poll.before_first:
            self._clock.sleep(poll.before_first)
        while True:
            asked: float | None = None
            try:
                status = self.cohort_status(request_id)
            except (TransientError, DataError) as error:
                odd += 1
                if odd > poll.odd:
                    raise
                asked = getattr(error, "delay", None)
                last = error.what
            else:
                odd, last, asked = 0, status.text, status.delay
                if on_poll:
                    on_poll(status)
                if status.state is CohortState.READY:
                    return
                if status.state is CohortState.FAILED:
                    raise DataError(
                        "Amplitude could not compute the cohort",
                        where={"request": request_id},
                        value=status.text,
                        next_step="ask for it again later; without properties (props: false) if it keeps failing",
                    )
            left = (end - self._clock.now()).total_seconds()
            if left <= 0:
                raise DeadlineExceeded(
                    f"The cohort was not ready within {deadline}",
                    where={"request": request_id},
                    value=last or None,
                    next_step="run again: the same request is adopted, no other is counted",
                )
            self._clock.sleep(min(max(pause, asked or 0.0), left))
            pause = min(pause * poll.growth, poll.longest)

    def download_cohort(self, request_id: str, target: Path, *, on_bytes: Callable[[int], None] | None = None) -> DownloadedFile:
        """Puts the members' CSV at `target`, unpacked; `target` is untouched unless all of it arrived.

        An inline answer and a redirect to a presigned URL are both fine; the URL is used at once, without credentials,
        and kept nowhere. If it is refused (older than a minute) a new one is asked for, which costs no quota.
        `on_bytes` gets the bytes received so far. Raises RequestExpired (404, 410).
        """
        gone = Meaning(RequestExpired, "The file of this cohort request is gone", "ask for the cohort again, once")
        path = f"/api/5/cohorts/request/{segment(request_id, 'request')}/file"

        def store(answer: Answer) -> DownloadedFile:
            body = unpacked(answer.chunks(counted(answer.received(), on_bytes)), answer.request)
            return save(table_only(body, answer.request), target, lambda aside: None)

        def attempt() -> DownloadedFile:
            with self._http.get(
                path,
                accepted=(200, *_REDIRECTS),
                meanings={404: gone, 410: gone},
                read_timeout=self._download_timeout,
            ) as answer:
                if answer.status == 200:
                    return store(answer)
                link = self._link(answer, self._http.base_url + path)
            return self._follow(link, store)

        return retry(attempt, policy=self._retry, clock=self._clock)

    def cohort_usage(self, *, tolerant: bool = True) -> CohortUsage | None:
        """The requests used this month, if the server tells (its answer is not documented).

        Asks once. Never raises, unless it is not `tolerant`: then for credentials, and for servers that fail.
        """
        try:
            return retry(self._usage, policy=ONCE, clock=self._clock)
        except (CredentialsError, TransientError):
            if tolerant:
                return None
            raise
        except ProfilemillError:
            return None

    # Events

    def export(
        self,
        first_hour: datetime,
        last_hour: datetime,
        target: Path,
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> DownloadedFile:
        """Puts the zip of the events uploaded from `first_hour` to the end of `last_hour` at `target`.

        **Both hours are included**: one hour is `export(hour, hour, ...)`. They are aware and on the hour in UTC, at
        most 365 days together. The archive's list of members has been read before `target` appears; the members'
        own checksums are `damaged_members`' task. Raises NoData (404), WindowTooLarge (400, 504),
        ConfigurationError for hours that cannot be asked for, before any request.
        """
        params = export_parameters(first_hour, last_hour)

        def fetch() -> DownloadedFile:
            with self._asked_to_export(params) as answer:
                request = answer.request
                body = answer.chunks(counted(answer.received(), on_bytes))
                return save(archive_only(body, request), target, lambda aside: check_archive(aside, request))

        return retry(fetch, policy=self._retry, clock=self._clock)

    @contextmanager
    def export_stream(self, first_hour: datetime, last_hour: datetime) -> Iterator[Iterator[bytes]]:
        """The same zip as chunks that are read as they arrive, inside the `with`.

        Repeated only before the first chunk: what breaks off later raises NetworkError or DamagedDownload, and what was
        read until then is no archive. Raises what `export` raises.
        """
        params = export_parameters(first_hour, last_hour)
        with ExitStack() as stack:

            def begin() -> Iterator[bytes]:
                answer = stack.enter_context(self._asked_to_export(params))
                return archive_only(answer.chunks(), answer.request)

            yield retry(begin, policy=self._retry, clock=self._clock)

    @contextmanager
    def _asked_to_export(self, params: Sequence[tuple[str, str]]) -> Iterator[Answer]:
        try:
            with self._http.get(
                "/api/2/export",
                params=params,
                meanings=EXPORT_MEANINGS,
                read_timeout=self._download_timeout,
                encoding="identity",
            ) as answer:
                yield answer
        except NoData as error:
            if is_foreign_page(error):
                raise DamagedDownload("The 404 is a web page, not Amplitude's", where=error.where) from None
            raise

    def _usage(self) -> CohortUsage | None:
        with self._http.get("/api/3/cohorts/usage") as answer:
            return usage_from(answer.json())

    def _link(self, answer: Answer, base: str) -> Secret:
        """The address that a redirect gives; it is as good as a credential for a minute."""
        location = Secret(answer.header("Location") or "")
        problem = None
        if not location.reveal():
            problem = "A redirect without an address"
        else:
            location = Secret(urljoin(base, location.reveal()))
            scheme = urlsplit(location.reveal()).scheme
            if scheme != "https" and not (scheme == "http" and base.startswith("http://")):
                problem = "A redirect to an address that is not encrypted"
        if problem:
            raise ServerError(problem, where={"request": answer.request})
        return location

    def _follow(self, link: Secret, store: Callable[[Answer], DownloadedFile]) -> DownloadedFile:
        for _ in range(_MOST_HOPS):
            with self._http.get_unsigned(link, read_timeout=self._download_timeout) as answer:
                if answer.status == 200:
                    return store(answer)
                if answer.status not in _REDIRECTS:
                    raise refused_link(answer)
                link = self._link(answer, link.reveal())
        raise ServerError("The file's address leads from redirect to redirect")
