"""The text that Airflow shows with each DAG."""

from __future__ import annotations

from pathlib import Path

from etl.jobs import CohortsJob, EventsJob, Jobs
from etl.jobs_forwarding import ForwardingJob


def of_job(path: Path, name: str, job: EventsJob | CohortsJob) -> str:
    """What the job does, when it runs, what its form takes, what to do when it fails."""
    lines = [f"### {job.label or name}", ""]
    if job.description:
        lines += [job.description, ""]
    lines += [*(_events(job) if isinstance(job, EventsJob) else _cohorts(job)), ""]
    if not job.keep_updated:
        lines += ["It runs **by hand only** (`keep_updated: false`).", ""]
    lines += [
        (
            f"Configured as `{name}` in `{path.name}`; keys: `{job.authorization}`; destinations after it: "
            f"{', '.join(f'`{one}`' for one in job.destinations) or 'none'}."
        ),
        "",
        (
            "The lake knows what is imported: running this again imports what is missing and nothing twice. "
            "A failed task's log says what to do."
        ),
    ]
    return "\n".join(lines)


def of_forwarding(path: Path, name: str, job: ForwardingJob) -> str:
    """What a forwarding job does, when it runs, what to do when it fails."""
    when = f"Every {job.every_minutes} minutes" if job.keep_updated else "By hand only (`keep_updated: false`)"
    return "\n".join(
        [
            f"### {job.label or name}",
            "",
            *([job.description, ""] if job.description else []),
            (
                f"{when}, it sends every file of the inbox `{job.inbox}` that is not done to `{job.destination}`: one task for "
                "up to 50 files, one task at a time, the oldest first."
            ),
            "",
            (
                "What the destination has acknowledged is written down event by event and never sent again; what it refuses "
                "is in the lake's table `rejects`, with its reason. A file with events that wait for a quota stays open."
            ),
            "",
            f"Configured as `{name}` in `{path.name}`. A failed task's log says what to do; a cleared one goes on where it stopped.",
        ]
    )


def of_profiles(path: Path, jobs: Jobs) -> str:
    """What the profiles DAG does and when."""
    return "\n".join(
        [
            "### Profiles",
            "",
            (
                "Starts after every import. `build` brings the profiles up to the loads of the lake, "
                "`load` brings each destination up to the profiles. Both do nothing when nothing is new."
            ),
            "",
            f"Configured in `{path.name}`; jobs: {', '.join(f'`{name}`' for name in jobs.imports) or 'none'}.",
        ]
    )


def _events(job: EventsJob) -> list[str]:
    return [
        ("Imports raw events, hour by hour of their upload, each hour when Amplitude has it ready: two hours after the hour has ended."),
        "",
        (
            f"The first run reaches back {job.backfill_days} days, in requests of at most {job.hours_per_request} "
            "hours. To import a period, trigger it with **From** and **To**; for single hours a backfill works too."
        ),
    ]


def _cohorts(job: CohortsJob) -> list[str]:
    which = ", ".join(f"`{one}`" for one in job.cohorts) or "all that are published"
    leaving = (
        f"Members that have left are recorded; a cohort that loses more than {job.max_exit_share:.0%} of its "
        "members at once fails, unless **Accept exits** names it."
        if job.exits
        else "Members that have left are not recorded: one of the two fields for it is blank."
    )
    return [
        (
            f"Imports cohorts ({which}) daily at {job.time_of_day}, {job.timezone}. A cohort that Amplitude has not "
            "computed since it was loaded is left out, because each request counts against a monthly quota."
        ),
        "",
        leaving,
    ]
