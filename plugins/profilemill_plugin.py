"""The one file here that Airflow's plugin loader reads; the package `amplitude_airflow` beside it holds the rest."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from amplitude_airflow import pools
from amplitude_airflow.timetable import DelayedIntervalTimetable


class ProfilemillPlugin(AirflowPlugin):
    """Registers the timetable of event jobs, and the listener that creates the pools."""

    name = "profilemill"
    timetables = [DelayedIntervalTimetable]  # noqa: RUF012 (Airflow's form)
    listeners = [pools]  # noqa: RUF012
