"""mParticle's Events API: one batch, or up to a hundred of them, sent to one feed. Usable alone.

::

    with MparticleClient("us1-0123...", Secret("4567..."), pod="us1") as client:
        client.send({"environment": "production", "user_identities": {"customer_id": "u-1042"}, "events": [...]})

A batch is about one user. Its `source_request_id` is what mParticle recognises a repetition by (for 30 to 60 days), so only
batches that have one are sent again after an answer that leaves open whether they arrived.

Any method may raise CredentialsError (401, 403), BadRequest (400, with what mParticle says), PayloadTooLarge (413), and, after the
retries of its policy, a TransientError (network, 5xx, 429).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from etl.clients.amplitude_tracking import encoded
from etl.clients.http import READ_TIMEOUT, Answer, HttpClient
from etl.clients.meanings import Meaning
from etl.clients.retry import RetryPolicy, retry
from etl.errors import ConfigurationError, CredentialsError, PayloadTooLarge, ProfilemillError, Throttled, TransientError
from etl.settings import Clock, Secret

Pod = Literal["us1", "us2", "eu1", "au1"]
PODS: tuple[Pod, ...] = get_args(Pod)
# What the API documents as the most in one request.
MOST_BATCHES, MOST_BATCH_BYTES, MOST_REQUEST_BYTES = 100, 128 * 1024, 256 * 1024


@dataclass(frozen=True)
class Accepted:
    """mParticle has taken the request. `rate_used` is the percentage of the feed's rate limit in use, where it tells."""

    rate_used: float | None = None


class MparticleClient:
    """Sends to one feed of one workspace: its Server to Server key and secret. Threads may share it."""

    def __init__(
        self,
        key: str,
        secret: Secret | str,
        *,
        pod: Pod = "us1",
        base_url: str | None = None,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """`base_url`, where given, replaces the host of the pod (a sandbox, a proxy)."""
        # From here on no local variable of this frame holds the secret in the clear.
        secret = Secret((secret.reveal() if isinstance(secret, Secret) else secret).strip())
        if pod not in PODS:
            raise ConfigurationError("Unknown pod", value=str(pod), next_step="write one of: " + ", ".join(PODS))
        if not key.strip() or not secret.reveal():
            raise ConfigurationError("The feed's key or secret is empty", next_step="set both, from the feed's page in mParticle")
        self._clock = clock or Clock()
        self._retry = retry or RetryPolicy()
        wrong = Meaning(
            CredentialsError,
            "mParticle refused the credentials",
            "check the feed's Server to Server key and secret, and that the pod is that of the account",
        )
        large = Meaning(PayloadTooLarge, "The request is too large for mParticle")
        self._http = HttpClient(
            base_url or f"https://s2s.{pod}.mparticle.com",
            user=key.strip(),
            password=secret,
            clock=self._clock,
            meanings={401: wrong, 403: wrong, 413: large},
            read_timeout=read_timeout,
        )

    def __repr__(self) -> str:
        return f"MparticleClient({self._http.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def base_url(self) -> str:
        return self._http.base_url

    def send(self, batch: Mapping[str, Any]) -> Accepted:
        """Sends one batch. A 400 is about this batch alone."""
        return self._post("/v2/events", encoded(batch), "source_request_id" in batch)

    def send_bulk(self, batches: Sequence[Mapping[str, Any]], *, historical: bool = False) -> Accepted:
        """Sends up to 100 batches in one request of at most 256 KB.

        mParticle answers for the request as a whole: it may take it although it cannot use a batch in it, and a 400 does
        not say which batch it is about. `historical` is for data older than 30 days: every event needs a timestamp of more
        than 72 hours ago, and nothing is passed on to outputs.
        """
        path = "/v2/bulkevents/historical" if historical else "/v2/bulkevents"
        body = b"[" + b",".join(encoded(batch) for batch in batches) + b"]"
        return self._post(path, body, all("source_request_id" in batch for batch in batches))

    def _post(self, path: str, body: bytes, repeatable: bool) -> Accepted:
        def attempt() -> Accepted:
            with self._http.post(path, body, "application/json", signed=True, accepted=(202, 429)) as answer:
                if answer.status == 429:
                    raise self._refused(answer)
                return Accepted(_percentage(answer.header("X-mp-rate-limit-percentage-used")))

        def worth_it(error: TransientError) -> bool:
            return repeatable or isinstance(error, Throttled)

        return retry(attempt, policy=self._retry, clock=self._clock, allowed=worth_it)

    def _refused(self, answer: Answer) -> ProfilemillError:
        """What a 429 means: the header tells which of several limits it was."""
        return self._http.error(answer).at(limit=answer.header("X-mp-rate-limit-exceeded"))


def _percentage(text: str | None) -> float | None:
    try:
        return float((text or "").rstrip("% "))
    except ValueError:
        return None
