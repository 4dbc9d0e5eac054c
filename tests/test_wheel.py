"""What users install: the wheel alone, without Airflow and without anything that only tests need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_works_without_airflow(tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    source = tmp_path / "source"
    tracked = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    _run(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", source, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    _run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    _run(uv, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    command = tmp_path / "venv/bin/profilemill"
    for name in ("run", "status", "check", "map", "rebuild", "compact", "sandbox", "profiles", "receive"):
        assert name in _run(command, "--help", cwd=tmp_path)
        assert "Usage" in _run(command, name, "--help", cwd=tmp_path)
    (tmp_path / "event.json").write_text('{"user_id": "u-1", "event_type": "Sign Up"}')
    assert '"amplitude_events": {"Sign Up": 1}' in _run(command, "map", "amplitude_events", "event.json", cwd=tmp_path)
    listed = _run(uv, "pip", "list", "--python", python, cwd=tmp_path)
    assert "apache-airflow" not in listed
    entry_points = "from importlib.metadata import entry_points as e; print([p.value for p in e(group='apache_airflow_provider')])"
    assert "amplitude_airflow.provider_info:get_provider_info" in _run(python, "-c", entry_points, cwd=tmp_path)
    assert "amplitude" in _run(python, "-c", "from amplitude_airflow.provider_info import *; print(get_provider_info())", cwd=tmp_path)
