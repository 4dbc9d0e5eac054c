"""One pool for each Amplitude project, so that all its tasks together keep within Amplitude's limits.

A task whose pool does not exist is never scheduled, and tasks cannot create pools (they have no database). So the
scheduler does it: this module is a listener of our plugin, and when a run of one of our DAGs starts, its missing pool
is added in the scheduler's own session. A pool that is there is left as it is: change its slots at Admin > Pools.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)

SLOTS = 4
PREFIX = "amplitude_"
# `include_deferred`: a cohort that Amplitude is computing holds its slot, though no worker waits for it.
DESCRIPTION = "Tasks that ask one Amplitude project, those that wait for it included (Profilemill)"


def pool_name(authorization: str) -> str:
    """The pool of an authorization of `jobs.yaml`."""
    return f"{PREFIX}{authorization}"


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Adds the pools that the run's tasks name and that do not exist. Never raises: a run must not stop for it."""
    try:
        _add_missing(dag_run)
    except Exception:
        log.exception("cannot create the pools of %s; create them at Admin > Pools", dag_run.dag_id)


def _add_missing(dag_run: DagRun) -> None:
    from airflow.models.pool import Pool
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    tasks = getattr(getattr(dag_run, "dag", None), "tasks", ())
    named = {task.pool for task in tasks if task.pool.startswith(PREFIX)}
    session = object_session(dag_run)
    if not named or session is None:
        return
    known = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(named))))
    for name in sorted(named - known):
        session.add(Pool(pool=name, slots=SLOTS, description=DESCRIPTION, include_deferred=True))
        log.info("created the pool %s", name)
