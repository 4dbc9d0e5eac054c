"""A receiver as its users run it: a process of its own, with senders that speak HTTP to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEY, SECRET = "cio-signing-key-1f0c", "nami-shared-secret-77aa"


@dataclass
class Receiver:
    """A running receiver. `process.stderr` and what follows its first line of `stdout` are still to be read."""

    process: subprocess.Popen[str]
    url: str
    port: int

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it as a service manager does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


def start(inbox: Path, *arguments: str, port: int = 0, environment: dict[str, str] | None = None) -> Receiver:
    """Starts one, with the log of every detail on, and waits until it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "-v", "receive", "--inbox", str(inbox), "--port", str(port), *arguments],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    found = re.search(r"http://[\d.]+:(\d+)", first)
    if found is None:
        assert process.stderr is not None
        raise AssertionError(first + process.stderr.read())
    return Receiver(process, found.group(0), int(found.group(1)))


@contextlib.contextmanager
def receiver(inbox: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Receiver]:
    running = start(inbox, *arguments, environment=environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
        for pipe in (running.process.stdout, running.process.stderr):
            assert pipe is not None
            pipe.close()


def events_in(folder: Path) -> list[dict[str, object]]:
    """Every event of the finished files, in the order of names and lines."""
    from etl.sources.inbox import finished_files, read_lines

    return [json.loads(line) for path in finished_files(folder) for _, line in read_lines(path)]
