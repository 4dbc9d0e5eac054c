"""The sandbox as a process of its own: `python -m amplitude_airflow.sandbox_process FILE` writes its URL to FILE."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from amplitude_airflow.services import Services
from etl.sandbox.server import serve
from etl.sandbox.state import SandboxOptions

_START_SECONDS = 60.0


def start_sandbox(services: Services, environment: dict[str, str], folder: Path) -> str:
    """Starts a sandbox among the services and returns its URL."""
    told = folder / "sandbox.url"
    told.unlink(missing_ok=True)
    services.start("sandbox", (sys.executable, "-m", __name__, str(told)), environment, folder)
    end = time.monotonic() + _START_SECONDS
    while not told.is_file():
        services.check()
        if time.monotonic() > end:
            raise services.failure("sandbox", f"was not ready within {_START_SECONDS:.0f} s")
        time.sleep(0.05)
    return told.read_text(encoding="utf-8")


def _tell(told: Path, url: str) -> None:
    part = told.with_suffix(".part")
    part.write_text(url, encoding="utf-8")
    part.rename(told)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    serve(SandboxOptions(), 0, lambda url: _tell(file, url))
