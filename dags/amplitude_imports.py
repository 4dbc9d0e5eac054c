"""One Airflow DAG for each job of `jobs.yaml`: see `amplitude_airflow.factory`."""

from __future__ import annotations

from airflow.sdk import get_parsing_context
from amplitude_airflow.factory import build_dags, jobs_file_beside

# A task that runs needs its own DAG only.
globals().update(build_dags(jobs_file_beside(__file__), only=get_parsing_context().dag_id))
