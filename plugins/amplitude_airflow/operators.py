"""Imports one cohort: asks for it or adopts a request under way, waits without a worker, loads the file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from amplitude_airflow.errors import TryAgain, airflow_errors
from amplitude_airflow.triggers import CohortTrigger, outcome_of, poll_settings
from etl.errors import RequestExpired
from etl.sources.amplitude_cohorts import CohortPlan

if TYPE_CHECKING:
    from etl.pipeline.project import Project

log = logging.getLogger(__name__)

# Airflow 3.3.2 may take a task for killed whose trigger fires within a few seconds of its deferral.
FIRST_POLL = 10.0
DEADLINE = timedelta(minutes=30)


class ImportCohortOperator(BaseOperator):
    """Imports the cohort `planned` (a `CohortPlan` as a dict) of a job; returns counts.

    The request's id is stored in the lake before anything waits for it, so a lost try adopts it and costs no quota.
    `force` and `accept_exits` come from the run's params.
    """

    # Nothing is a template: a cohort may be called anything, {{ braces }} included.
    template_fields: Sequence[str] = ()
    ui_color = "#e8eefc"

    def __init__(
        self,
        *,
        jobs_file: str,
        job: str,
        planned: dict[str, Any],
        first_poll: float = FIRST_POLL,
        deadline: timedelta = DEADLINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.jobs_file = jobs_file
        self.job = job
        self.planned = planned
        self.first_poll = first_poll
        self.deadline = deadline

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: RET503 (defer raises)
        """Submits or adopts, and looks once: what is ready already needs no wait."""
        from amplitude_airflow.tasks import open_for_tasks
        from etl.clients.amplitude import CohortState
        from etl.pipeline.cohorts import request_cohort

        with airflow_errors(self.job):
            project = open_for_tasks(self.jobs_file)
            plan = self._plan()
            request_id = request_cohort(project, self.job, plan)
            log.info("cohort %s (%s), request %s: %s", plan.name, plan.id, request_id, plan.reason)
            try:
                with project.client(project.job(self.job)) as client:
                    status = client.cohort_status(request_id)
            except RequestExpired as error:
                self._again(project, outcome_of(error, self.job))
            if status.state is CohortState.READY:
                return self._load(context, project, request_id)
        until = datetime.now(UTC) + self.deadline
        self.defer(
            trigger=CohortTrigger(self.jobs_file, self.job, request_id, until.isoformat(), poll_settings(self.first_poll)),
            method_name="finish",
        )

    def finish(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on after the wait: loads the file, or says why there is none."""
        from amplitude_airflow.tasks import open_for_tasks

        with airflow_errors(self.job):
            project = open_for_tasks(self.jobs_file)
            if event["state"] != "ready":
                self._again(project, event)
            return self._load(context, project, event["request_id"])

    def _load(self, context: Context, project: Project, request_id: str) -> dict[str, Any]:
        from amplitude_airflow.tasks import counts_of, log_report
        from etl.pipeline.cohorts import import_cohort

        params = context["params"]
        try:
            report = import_cohort(
                project,
                self.job,
                self._plan(),
                request_id,
                accept_exits=params.get("accept_exits") or [],
                force=bool(params.get("force")),
            )
        except RequestExpired as error:
            self._again(project, outcome_of(error, self.job))
        log_report(report)
        return counts_of(report)

    def _again(self, project: Project, event: dict[str, Any]) -> NoReturn:
        """Raises what an event without a file means."""
        from etl.pipeline.cohorts import forget_request

        if event["state"] == "expired":
            forget_request(project, self.job, self._plan())
        if event["state"] == "fail":
            raise AirflowFailException(event["text"])
        raise TryAgain(event["text"], event.get("delay"))

    def _plan(self) -> CohortPlan:
        # The lake knows the request that is in force, if any; the plan's own may be one that a try has forgotten.
        plan = CohortPlan.from_dict(self.planned)
        return replace(plan, request_id=None)
