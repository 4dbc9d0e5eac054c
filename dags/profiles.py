"""The Airflow DAG `profiles`: build after any import, then load the destinations."""

from __future__ import annotations

from amplitude_airflow.factory import build_profiles_dag, jobs_file_beside

from etl.errors import ConfigurationError

try:
    dag = build_profiles_dag(jobs_file_beside(__file__))
except ConfigurationError:
    # amplitude_imports.py reports the fault of jobs.yaml; once is enough. (airflow: this DAG is missing until then)
    dag = None
