"""What Airflow makes of `jobs.yaml`: ids, schedules, house rules, and one clear error for a broken file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.conftest import ROOT

HEAVY = ("duckdb", "deltalake", "pandas", "pyarrow", "scipy", "numpy", "starlette")


def parsed() -> DagBag:
    return DagBag(str(ROOT / "dags"))


def test_each_job_is_a_dag_and_the_profiles_are_one(write_jobs: Callable[..., Path]) -> None:
    write_jobs()
    bag = parsed()
    assert bag.import_errors == {}
    assert {dag.dag_id: sorted(dag.task_ids) for dag in bag.dags.values()} == {
        "shop-events": ["done", "import_hours", "plan", "report"],
        "shop-cohorts": ["done", "import_cohort", "plan", "report"],
        "profiles": ["build", "load"],
    }


def test_the_schedules(write_jobs: Callable[..., Path]) -> None:
    write_jobs()
    dags = parsed().dags
    events, cohorts, profiles = (dags[name].timetable for name in ("shop-events", "shop-cohorts", "profiles"))
    assert events.delay == timedelta(hours=2)
    assert (cohorts.expression, str(cohorts.timezone)) == ("45 6 * * *", "America/Los_Angeles")
    assert {asset.name for asset in profiles.asset_condition.objects} == {
        "stream/amplitude_cohorts",
        "stream/amplitude_events",
    }


def test_a_job_that_is_not_kept_updated_has_no_schedule(write_jobs: Callable[..., Path]) -> None:
    path = write_jobs()
    path.write_text(path.read_text().replace("label: Shop events,", "label: Shop events, keep_updated: false,"))
    assert parsed().dags["shop-events"].schedule is None


def test_house_rules(write_jobs: Callable[..., Path]) -> None:
    """Tags, a text for the UI, enough tries for the deferral race, a pool where Amplitude is asked, one run at a time."""
    write_jobs()
    for dag in parsed().dags.values():
        assert "profilemill" in dag.tags
        assert dag.doc_md and dag.description and dag.dag_display_name
        assert dag.max_active_runs == 1 and dag.catchup is False
        for task in dag.tasks:
            if task.task_id != "done":
                assert task.retries >= 3, task.task_id
    dags = parsed().dags
    asking = [("shop-events", "import_hours"), ("shop-cohorts", "plan"), ("shop-cohorts", "import_cohort")]
    assert {dags[dag].get_task(task).pool for dag, task in asking} == {"amplitude_shop"}
    assert dags["shop-events"].get_task("import_hours").max_active_tis_per_dagrun == 2


def test_the_form_of_each_job(write_jobs: Callable[..., Path]) -> None:
    write_jobs()
    dags = parsed().dags
    assert dict(dags["shop-events"].params.dump()) == {"from": None, "to": None, "force": False}
    assert dict(dags["shop-cohorts"].params.dump()) == {"cohorts": [], "force": False, "accept_exits": []}


def test_dags_survive_serialization(write_jobs: Callable[..., Path]) -> None:
    """The scheduler never sees the file, only this."""
    write_jobs()
    for dag in parsed().dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert sorted(again.task_ids) == sorted(dag.task_ids)


@pytest.mark.parametrize("name", ["amplitude_imports.py", "profiles.py"])
def test_parsing_imports_nothing_heavy(name: str, write_jobs: Callable[..., Path]) -> None:
    """Every task parses its file anew; what only a task needs is imported by the task."""
    write_jobs()
    code = f"""
import runpy, sys
found = runpy.run_path({str(ROOT / "dags" / name)!r})
assert any(type(value).__name__ == "DAG" for value in found.values()), list(found)
print(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_running_task_builds_its_own_dag_only(write_jobs: Callable[..., Path]) -> None:
    from amplitude_airflow.factory import build_dags

    path = write_jobs()
    assert list(build_dags(path, only="shop-events")) == ["shop-events"]
    assert list(build_dags(path, only="profiles")) == []


def test_the_dag_files_are_short_and_found_by_airflow() -> None:
    """Airflow passes over files whose text does not hold both words."""
    files = sorted((ROOT / "dags").glob("*.py"))
    assert [file.name for file in files] == ["amplitude_imports.py", "forwarding.py", "profiles.py"]
    for file in files:
        text = file.read_text()
        assert len(text.splitlines()) < 80
        assert "dag" in text and "airflow" in text


def test_a_broken_jobs_file_is_one_import_error_with_the_place(write_jobs: Callable[..., Path]) -> None:
    text = "lake: ./lake\nauthorizations:\n  shop: {api_key: a, secret_key: b}\njobs:\n  x: {type: amplitude_events, authorization: shp}\n"
    path = write_jobs(text=text)
    bag = parsed()
    assert [Path(file).name for file in bag.import_errors] == ["amplitude_imports.py"]
    assert bag.import_errors[str(ROOT / "dags" / "amplitude_imports.py")].endswith(
        f"""\
etl.errors.ConfigurationError: jobs.yaml has a fault
jobs.yaml:5:46: J004 jobs.x.authorization: there is no authorization 'shp'
      x: {{type: amplitude_events, authorization: shp}}
                                                 ^^^
    did you mean 'shop'?
  Next: correct {path} and run `profilemill check`
"""
    )


def test_no_jobs_file_is_one_import_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILEMILL_JOBS", str(tmp_path / "missing.yaml"))
    (text,) = parsed().import_errors.values()
    assert f"there is no jobs file: {tmp_path / 'missing.yaml'}" in text
    assert "Next: name it with --jobs FILE or PROFILEMILL_JOBS" in text


def test_a_job_cannot_take_the_name_of_the_profiles_dag(write_jobs: Callable[..., Path]) -> None:
    path = write_jobs()
    path.write_text(path.read_text().replace("shop-events:", "profiles:"))
    (text,) = parsed().import_errors.values()
    assert "a job cannot be called 'profiles'" in text


def test_the_plugin_loads_as_one_file() -> None:
    """Airflow imports every .py below plugins/ that is not ignored, under its bare name."""
    code = """
import sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
assert not errors, errors
assert "profilemill" in [plugin.name for plugin in plugins]
assert "hooks" not in sys.modules and "operators" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_airflow_knows_the_connection_type() -> None:
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook: Any = ProvidersManagerTaskRuntime().hooks["amplitude"]
    assert (hook.hook_class_name, hook.hook_name) == ("amplitude_airflow.hooks.AmplitudeHook", "Amplitude")
    assert ProvidersManager().field_behaviours["amplitude"]["relabeling"] == {
        "login": "API key",
        "password": "Secret key",
    }
