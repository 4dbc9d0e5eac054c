"""A project whose cohorts the tests decide, member by member."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from etl.clients.amplitude import PollPolicy
from etl.pipeline.cohorts import run_cohorts
from etl.pipeline.profiles import build
from etl.pipeline.project import Project, open_project
from etl.profiles.published import find_profiles
from etl.reports import ImportReport
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import running_sandbox
from etl.settings import Clock
from tests.pipeline.projects import write_jobs

FIRST = 1_700_000_000


@dataclass
class Shop:
    """A sandbox without cohorts of its own, and a project on it."""

    url: str
    project: Project

    def cohort(self, id: str, members: list[str], computed: int, *, name: str | None = None, size: int | None = None) -> None:
        body: dict[str, Any] = {"members": [{"amplitude_id": member} for member in members], "lastComputed": computed, "name": name or id}
        body["size"] = len(members) if size is None else size
        assert requests.post(f"{self.url}/_sandbox/cohorts/{id}", json=body, timeout=10).ok

    def run(self, **options: Any) -> ImportReport:
        return run_cohorts(self.project, "shop-cohorts", **options)

    def configure(self, **options: Any) -> None:
        """Changes options of the cohort job."""
        jobs = self.project.jobs
        job = jobs.jobs["shop-cohorts"].model_copy(update=options)
        self.project = dataclasses.replace(self.project, jobs=jobs.model_copy(update={"jobs": {**jobs.jobs, "shop-cohorts": job}}))

    def requests_made(self) -> int:
        routes = requests.get(f"{self.url}/_sandbox/requests", timeout=10).json()["routes"]
        return int(routes.get("cohort_request", 0))

    def membership(self, member: str, by: str = "ids") -> dict[str, bool]:
        build(self.project)
        (profile,) = find_profiles(self.project.lake, "amplitude_id", member)
        found: dict[str, bool] = profile[f"amplitude_cohort_{by}"]
        return found


@contextlib.contextmanager
def running_shop(folder: Path, *, clock: Clock | None = None, **options: Any) -> Iterator[Shop]:
    """A shop in `folder`; `options` are the sandbox's."""
    sample = SampleSpec(events=1, people=1, cohorts=0)
    made = SandboxOptions(sample=sample, polls_before_ready=0, clock=clock or Clock(), **options)
    with running_sandbox(made) as sandbox:
        project = open_project(write_jobs(folder, sandbox.url), clock)
        yield Shop(sandbox.url, dataclasses.replace(project, poll=PollPolicy(first=0.05)))
