"""An Airflow connection of type `amplitude` to a client: login is the API key, password the secret key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from amplitude_airflow.provider_info import CONNECTION_TYPE
from etl.connections import Keys, client_of, keys_of
from etl.errors import ConfigurationError, ProfilemillError
from etl.jobs import Authorization, Jobs
from etl.settings import Clock, Secret

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from etl.clients.amplitude import AmplitudeClient


class AmplitudeHook(BaseHook):
    """A client for a connection. `etl.clients.amplitude` does the work; this only finds the keys."""

    conn_name_attr = "amplitude_conn_id"
    default_conn_name = "amplitude_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Amplitude"

    def __init__(self, amplitude_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amplitude_conn_id = amplitude_conn_id

    def get_conn(self) -> AmplitudeClient:
        """A client with the connection's keys. Raises ConfigurationError."""
        return client_of(connection_keys(self.amplitude_conn_id), Clock())

    def test_connection(self) -> tuple[bool, str]:
        """Asks Amplitude for its list of cohorts, which costs no quota."""
        try:
            with self.get_conn() as client:
                return True, f"Amplitude answered: {len(client.list_cohorts())} cohorts"
        except ProfilemillError as error:
            return False, str(error)


def find_keys(name: str, jobs: Jobs) -> Keys:
    """The keys of an authorization: from its Airflow connection, or as `jobs.yaml` says. For `Project.find_keys`."""
    authorization = jobs.authorizations[name]
    if authorization.connection is None:
        return keys_of(name, authorization)
    return connection_keys(authorization.connection, authorization)


async def afind_keys(name: str, jobs: Jobs) -> Keys:
    """`find_keys` for triggers: waits for Airflow without blocking the others."""
    authorization = jobs.authorizations[name]
    if authorization.connection is None:
        return keys_of(name, authorization)
    try:
        found = await BaseHook.aget_connection(authorization.connection)
    except AirflowNotFoundException as error:
        raise _unknown(authorization.connection) from error
    return _keys(found, authorization)


def connection_keys(conn_id: str, authorization: Authorization | None = None) -> Keys:
    """The keys in a connection. Raises ConfigurationError when it is missing or incomplete."""
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise _unknown(conn_id) from error
    return _keys(found, authorization)


def _keys(connection: Connection, authorization: Authorization | None) -> Keys:
    extra = connection.extra_dejson
    region = extra.get("region") or (authorization.region if authorization else "us")
    base_url = extra.get("base_url") or (authorization.base_url if authorization else None)
    if not connection.login or not connection.password:
        raise ConfigurationError(
            "the Airflow connection has no API key or no secret key",
            where={"connection": connection.conn_id},
            next_step="fill in both at Admin > Connections",
        )
    if region not in ("us", "eu"):
        raise ConfigurationError(
            "the Airflow connection names an unknown region",
            where={"connection": connection.conn_id},
            value=str(region),
            next_step="choose us or eu at Admin > Connections",
        )
    return Keys(connection.login, Secret(connection.password), region, base_url)


def _unknown(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no Airflow connection {conn_id!r}",
        next_step=f"add it at Admin > Connections with the type Amplitude, or set AIRFLOW_CONN_{conn_id.upper()}",
    )
