"""Starts processes that belong together, notices when one dies, and stops all of them with whatever they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

_TAIL_LINES = 25
_STOP_SECONDS = 8.0
_DEATH_SECONDS = 5.0


class ServiceFailed(Exception):
    """A service has ended, or did not get ready; the text holds the end of its log."""


class Services:
    """Each service is a session of its own, so that a Ctrl-C reaches only us and we stop them in order."""

    def __init__(self, logs: Path, patience: float = _STOP_SECONDS) -> None:
        """`patience`: seconds between asking and killing."""
        self.logs = logs
        self._patience = patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Starts a service; what it says goes to `<logs>/<name>.log`."""
        with self.log_of(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, name: str) -> None:
        """Waits for a service that ends by itself. Raises ServiceFailed when it ends badly."""
        if self._running[name].wait() != 0:
            raise self.failure(name, f"ended with code {self._running[name].returncode}")
        del self._running[name]

    def check(self) -> None:
        """Raises ServiceFailed for the first service that has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise self.failure(name, f"has stopped with code {process.returncode}")

    def failure(self, name: str, what: str) -> ServiceFailed:
        """An error that shows the end of the service's log."""
        log = self.log_of(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        tail = "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])
        return ServiceFailed(f"{name} {what}; the end of {log}:\n{tail or '  | (nothing)'}")

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    @property
    def sessions(self) -> list[int]:
        """The ids of the running services' sessions."""
        return [process.pid for process in self._running.values()]

    def stop(self) -> None:
        """Stops all services and their descendants: first they are asked, then they are killed."""
        sessions = self.sessions
        for process in self._running.values():
            _signal_group(process.pid, signal.SIGTERM)
        end = time.monotonic() + self._patience
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
        for process in self._running.values():
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
        # Airflow gives some of its children process groups of their own; they keep the session.
        end = time.monotonic() + _DEATH_SECONDS
        while (left := processes_of(sessions)) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        self._running.clear()


class Interrupted(Exception):
    """A signal asked the launcher to end."""


def interruptible() -> None:
    """Makes SIGTERM, SIGHUP and SIGINT raise Interrupted, so that every `with` block is left properly.

    SIGINT too: a shell that starts a command in the background makes it ignore that signal.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, interrupt)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def processes_of(sessions: Sequence[int]) -> list[int]:
    """The living processes of the sessions; none where the system has no /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # pid (name) state ppid pgrp session ...; the name may hold anything.
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) in sessions and state != "Z":
                found.append(int(stat.parent.name))
    return found
