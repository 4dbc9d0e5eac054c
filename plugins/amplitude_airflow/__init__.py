"""Profilemill on Airflow: connection type, hook, operator, trigger, timetable, and the DAGs of `jobs.yaml`."""
