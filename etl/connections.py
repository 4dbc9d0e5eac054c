"""An authorization to a client: keys from `jobs.yaml`, or an Airflow connection out of the environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from etl.clients.amplitude import AmplitudeClient
from etl.errors import ConfigurationError
from etl.jobs import Authorization, resolve_variables
from etl.settings import Clock, Secret


@dataclass(frozen=True)
class Keys:
    """What a client needs; `secret_key` hides itself. Without it events can be sent, and nothing else."""

    api_key: str
    secret_key: Secret | None
    region: Literal["us", "eu"] = "us"
    base_url: str | None = None


def keys_of(name: str, authorization: Authorization) -> Keys:
    """The keys of an authorization. Raises ConfigurationError when a variable or the connection is not there."""
    if authorization.connection is not None:
        return _from_environment(name, authorization)
    assert authorization.api_key is not None  # the model checks it
    secret = authorization.secret_key
    where = f"authorizations.{name}"
    base_url = authorization.base_url
    return Keys(
        resolve_variables(authorization.api_key.get_secret_value(), f"{where}.api_key"),
        Secret(resolve_variables(secret.get_secret_value(), f"{where}.secret_key")) if secret else None,
        authorization.region,
        resolve_variables(base_url, f"{where}.base_url") if base_url else None,
    )


def client_of(keys: Keys, clock: Clock) -> AmplitudeClient:
    """A client for the keys."""
    return AmplitudeClient(keys.api_key, keys.secret_key, region=keys.region, base_url=keys.base_url, clock=clock)


def _from_environment(name: str, authorization: Authorization) -> Keys:
    """Airflow's own form: AIRFLOW_CONN_<ID> as JSON or as a URI."""
    variable = f"AIRFLOW_CONN_{str(authorization.connection).upper()}"
    text = os.environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"the Airflow connection {authorization.connection!r} is not known outside Airflow",
            where={"authorization": name},
            next_step=f"set {variable}, or give api_key and secret_key in jobs.yaml",
        )
    try:
        content: dict[str, Any] = json.loads(text) if text.lstrip().startswith("{") else _from_uri(text)
        given = content.get("extra") or {}
        extra: dict[str, Any] = json.loads(given) if isinstance(given, str) else given
        region = extra.get("region") or authorization.region
        if region not in ("us", "eu") or not content.get("login") or not content.get("password"):
            raise ValueError
    except (ValueError, AttributeError) as error:
        raise ConfigurationError(
            "the connection is not readable",
            where={"variable": variable},
            next_step='write {"conn_type": "amplitude", "login": KEY, "password": SECRET, "extra": {"region": "us"}}',
        ) from error
    return Keys(
        content["login"],
        Secret(content["password"]),
        region,
        extra.get("base_url") or content.get("host") or authorization.base_url,
    )


def _from_uri(text: str) -> dict[str, Any]:
    parts = urlsplit(text)
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    query = dict(parse_qsl(parts.query))
    return {
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": f"http://{host}" if host and host.startswith(("127.0.0.1", "localhost")) else host,
        "extra": query,
    }
