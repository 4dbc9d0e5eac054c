"""What all calls to Amplitude share: the hosts of a region, the credentials, and what refused ones mean."""

from __future__ import annotations

import os
from typing import Literal, Self

from etl.clients.http import READ_TIMEOUT, HttpClient
from etl.clients.meanings import Meaning
from etl.clients.retry import RetryPolicy
from etl.errors import ConfigurationError, CredentialsError
from etl.settings import Clock, Secret

HOSTS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
INGESTION_HOSTS = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
TOKEN_ENDPOINT = "AMPLITUDE_TOKEN_ENDPOINT"
DOWNLOAD_TIMEOUT = 600.0


class AmplitudeBase:
    """The connections to one project, and the ids that what is sent gets where it has none."""

    def __init__(
        self,
        api_key: str,
        secret_key: Secret | str | None,
        *,
        region: Literal["us", "eu"] = "us",
        base_url: str | None = None,
        token_endpoint: str | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        session_id: int | None = None,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        read_timeout: float = READ_TIMEOUT,
        download_timeout: float = DOWNLOAD_TIMEOUT,
    ) -> None:
        """`base_url`, where given, replaces the hosts of the region (a sandbox, a proxy).

        What is sent (events, identifications) goes to `token_endpoint`, else to the environment variable
        AMPLITUDE_TOKEN_ENDPOINT, else to `base_url`, else to the region's host. It needs no secret key; everything else
        does. `user_id`, `device_id` and `session_id` are the defaults of what is sent.
        The time-outs are the longest silence, in seconds, before and within an answer; downloads have their own.
        """
        # From here on no local variable of this frame holds the secret in the clear.
        if secret_key is not None:
            secret_key = Secret((secret_key.reveal() if isinstance(secret_key, Secret) else secret_key).strip())
        if region not in HOSTS:
            raise ConfigurationError("Unknown region", value=str(region), next_step="write one of: " + ", ".join(HOSTS))
        if not api_key.strip() or (secret_key is not None and not secret_key.reveal()):
            raise ConfigurationError("The API key or the secret key is empty", next_step="set both, from one Amplitude project")
        self._clock = clock or Clock()
        self._retry = retry or RetryPolicy()
        self._download_timeout = download_timeout
        self._api_key, self._reads = Secret(api_key.strip()), secret_key is not None
        self._defaults = {
            name: value for name, value in (("user_id", user_id), ("device_id", device_id), ("session_id", session_id)) if value is not None
        }
        wrong = Meaning(
            CredentialsError,
            "Amplitude refused the credentials",
            f"check the API key, the secret key and the region ({'that of base_url' if base_url else f'now {region}'}): "
            "right keys in the wrong region look just like wrong keys",
        )
        self._http = HttpClient(
            base_url or HOSTS[region],
            user=api_key.strip(),
            password=secret_key,
            clock=self._clock,
            meanings={401: wrong, 403: wrong},
            read_timeout=read_timeout,
        )
        self._ingestion = HttpClient(
            token_endpoint or os.environ.get(TOKEN_ENDPOINT) or base_url or INGESTION_HOSTS[region],
            user=api_key.strip(),
            password=None,
            clock=self._clock,
            read_timeout=read_timeout,
        )

    def __repr__(self) -> str:
        http = getattr(self, "_http", None)  # missing while the constructor refuses its arguments
        return f"{type(self).__name__}({http!r}, api_key='****', secret_key='****')"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()
        self._ingestion.close()

    @property
    def has_secret(self) -> bool:
        """Whether it can read, and not only send."""
        return self._reads

    @property
    def base_url(self) -> str:
        """Where is read from."""
        return self._http.base_url

    @property
    def token_endpoint(self) -> str:
        """Where events and identifications are sent to."""
        return self._ingestion.base_url
