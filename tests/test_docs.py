"""The documents say what the program does: their commands are run, their tables compared."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from etl.cli import app, main
from etl.jobs import CohortsJob, EventsJob, json_schema, load_jobs
from etl.jobs_forwarding import AmplitudeDestination, CustomerioJob, MparticleDestination, MparticleFeed, NamiJob
from etl.mapping.reference import reference
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import running_sandbox
from tests.pipeline.projects import WINDOW, profilemill, write_jobs
from tests.receiver.receivers import receiver
from tests.sources.buckets import BUCKET, running_s3

ROOT = Path(__file__).parent.parent


def test_the_command_line_page(tmp_path: Path) -> None:
    page = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    (jobs,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "jobs.yaml").write_text(jobs, encoding="utf-8")
    blocks = re.findall(r"```console\n\$ (.*?)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 8
    with running_sandbox(SandboxOptions()) as sandbox:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"AMPLITUDE_BASE_URL": sandbox.url, "COLUMNS": "200", "PATH": path}
        for command, output in blocks:
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            for line in output.splitlines():
                assert line in done.stdout, f"{command}\n{done.stdout}"


def test_the_page_on_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/client.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMPLITUDE_TOKEN_ENDPOINT", raising=False)
    with running_sandbox(SandboxOptions(export_delay=timedelta(0), polls_before_ready=0)) as sandbox:
        page = page.replace("http://127.0.0.1:8123", sandbox.url)
        (exports,) = re.findall(r"```\nexport (.*)\n```", page)
        for name, _, value in (pair.partition("=") for pair in exports.split()):
            monkeypatch.setenv(name, value)
        for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
            for command, output in re.findall(r"\$ (.*?)\n((?:(?!\$ ).*\n)*)", block):
                before, arguments = command.rsplit("profilemill ", 1)
                piped = subprocess.run(before.rstrip("| "), shell=True, capture_output=True, timeout=60, check=True).stdout
                monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
                code, shown = main(shlex.split(arguments)), capsys.readouterr()
                assert (code == 0) != output.startswith(("error:", "nomatch")), f"{command}\n{shown}"
                missing = [line for line in output.splitlines() if line not in shown.out + shown.err]
                assert missing == [], f"{command}\n{shown.out}{shown.err}"
        (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        exec(code, {})
    assert capsys.readouterr().out == "1 False\n2 [(0, '2022-11-21', 2475), (0, '2022-11-22', 0)]\n"
    assert (tmp_path / "events.zip").stat().st_size > 1000


def test_the_page_on_mappings(tmp_path: Path) -> None:
    page = (ROOT / "docs/mappings.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"```yaml (\S+)\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    environment = os.environ | {"COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for command, output in re.findall(r"\$ (.*?)\n((?:(?!\$ ).*\n)*)", block):
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert [line for line in output.splitlines() if line not in done.stdout.splitlines()] == [], done.stdout


def test_the_page_on_the_receiver(tmp_path: Path) -> None:
    page = (ROOT / "docs/receiver.md").read_text(encoding="utf-8")
    (name, script), *_ = re.findall(r"```python (\S+)\n(.*?)```", page, re.DOTALL)
    (tmp_path / name).write_text(script, encoding="utf-8")
    (start,) = re.findall(r"```\n(export .*?)```", page, re.DOTALL)
    variable, value = re.findall(r"export (\w+)=(\S+)", start)[0]
    environment = os.environ | {variable: value, "COLUMNS": "300", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    sending, mapping = re.findall(r"```console\n\$ (.*?)\n(.*?)```", page, re.DOTALL)
    with receiver(tmp_path / "inbox", environment={variable: value}) as one:
        for command, output in ((sending[0].replace("http://127.0.0.1:8090", one.url), sending[1]), mapping):
            if (command, output) == mapping:
                assert one.stop() == 0
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert (done.returncode, done.stdout) == (0, output), done.stderr


def test_the_page_on_forwarding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/forwarding.md").read_text(encoding="utf-8")
    (jobs,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "jobs.yaml").write_text(jobs, encoding="utf-8")
    ((name, events),) = re.findall(r"```json (\S+)\n(.*?)```", page, re.DOTALL)
    (tmp_path / name).write_text(events, encoding="utf-8")
    ((bucket, more),) = re.findall(r"```yaml (\S+)\n(.*?)```", page, re.DOTALL)
    (tmp_path / bucket).write_text(more, encoding="utf-8")
    blocks = "".join(re.findall(r"```console\n(.*?)```", page, re.DOTALL))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with running_s3(monkeypatch), running_sandbox(SandboxOptions(sample=SampleSpec(people=2, events=0))) as sandbox:
        environment = os.environ | {"VENDOR_URL": sandbox.url, "BUCKET": BUCKET, "COLUMNS": "200", "PATH": path}
        for command, output in re.findall(r"\$ (.*?)\n((?:(?!\$ ).*\n)*)", blocks):
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert [line for line in output.splitlines() if line not in done.stdout.splitlines()] == [], f"{command}\n{done.stdout}"


def test_the_page_on_the_lake(tmp_path: Path) -> None:
    page = (ROOT / "docs/lake.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with running_sandbox(SandboxOptions(sample=SampleSpec(events=300, people=30))) as sandbox:
        write_jobs(tmp_path, sandbox.url)
        for _ in range(2):
            done = profilemill(tmp_path, "run", "shop-events", *WINDOW, "--force", "--json")
            assert done.returncode == 0, done.stderr
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    people = json.loads(done.stdout)["build"]["profiles"]
    assert shown.stdout.strip() == f"[(300,)] [({people},)]", shown.stderr


def test_the_tests_that_the_guarantees_name_are_there() -> None:
    for name in re.findall(r"`(tests/[^`]+)`", (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_every_command_has_help_and_stands_in_the_documents() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    group = typer.main.get_command(app)
    commands = {name: command for name, command in group.commands.items() if not command.hidden}  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert command.help, f"{name} has no help"
        assert command.epilog or name == "profiles", f"{name} has no example"
        assert f"profilemill {name}" in pages, f"{name} is in no document"


def test_the_language_page_is_the_specification() -> None:
    assert (ROOT / "mappings/README.md").read_text(encoding="utf-8") == reference(), "run `python -m etl.mapping.reference`"


def test_the_schema_is_the_model() -> None:
    assert json.loads((ROOT / "docs/jobs.schema.json").read_text(encoding="utf-8")) == json_schema(), "run `make schema`"


def test_every_option_of_a_job_stands_on_its_page() -> None:
    page = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
    for model in (EventsJob, CohortsJob, NamiJob, CustomerioJob, AmplitudeDestination, MparticleDestination, MparticleFeed):
        for name in set(model.model_fields) - {"type"}:
            assert f"`{name}`" in page, name


@pytest.mark.parametrize("path", ["README.md", "docs/command-line.md", "jobs.yaml"])
def test_the_jobs_files_shown_are_right(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY", "AMPLITUDE_BASE_URL"):
        monkeypatch.setenv(name, "x")
    page = (ROOT / path).read_text(encoding="utf-8")
    (text,) = [page] if path.endswith(".yaml") else re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "jobs.yaml").write_text(text, encoding="utf-8")
    assert set(load_jobs(tmp_path / "jobs.yaml").jobs) == {"shop-events", "shop-cohorts"}


def test_the_readmes_first_commands_are_targets() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.split("```")[1].split() == ["make", "demo", "make", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in ("demo", "test", "up", "setup", "help"))


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "mappings/README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
