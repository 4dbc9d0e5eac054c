"""One Airflow DAG for each forwarding job of `jobs.yaml`: see `amplitude_airflow.forwarding`."""

from __future__ import annotations

from contextlib import suppress

from airflow.sdk import get_parsing_context
from amplitude_airflow.factory import jobs_file_beside
from amplitude_airflow.forwarding import build_forwarding_dags

from etl.errors import ConfigurationError

# amplitude_imports.py reports a fault of jobs.yaml; once is enough. (airflow: these DAGs are missing until then)
with suppress(ConfigurationError):
    # A task that runs needs its own DAG only.
    globals().update(build_forwarding_dags(jobs_file_beside(__file__), only=get_parsing_context().dag_id))
