"""One pool for each Amplitude project, so that all its tasks together keep within Amplitude's limits.

A task whose pool does not exist is never scheduled, and tasks cannot create pools (they have no database). So the
scheduler does it: this module is a listener of our plugin, and when a run of one of our DAGs starts, its missing pool
is added in the scheduler's own session. A pool that is there is left as it is: change its slots at Admin > Pools.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

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
    from sqlalchemy.orm import object_session

    tasks = getattr(getattr(dag_run, "dag", None), "tasks", ())
    named = {task.pool for task in tasks if task.pool.startswith(PREFIX)}
    session = object_session(dag_run)
    if not named or session is None:
        return
    # At once and without an error for one that is there: a statement that failed would spoil the scheduler's
    # transaction, and so would a pending object that another run of the same transaction adds too.
    statement = _insert_missing(session.get_bind().dialect.name)
    for name in sorted(named):
        row = {"pool": name, "slots": SLOTS, "description": DESCRIPTION, "include_deferred": True}
        session.execute(statement, [row])


def _insert_missing(dialect: str) -> Any:
    from airflow.models.pool import Pool
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    table = Pool.__table__
    if dialect == "mysql":
        return mysql.insert(table).prefix_with("IGNORE")
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing(index_elements=["pool"])
    return sqlite.insert(table).on_conflict_do_nothing(index_elements=["pool"])
