"""Runs a sandbox on loopback: in a thread for tests and demos, or in the foreground for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from etl.errors import ConfigurationError, FatalError
from etl.sandbox.amplitude import create_app
from etl.sandbox.state import Sandbox, SandboxOptions

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_TICK_SECONDS = 0.02


@dataclass(frozen=True)
class RunningSandbox:
    """Where a sandbox listens; `state` is its live state."""

    url: str
    port: int
    state: Sandbox


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def main_loop(self) -> None:
        # The same loop as uvicorn's with a shorter step: a sandbox that ends is often followed by the next.
        step = 0
        while not await self.on_tick(step):
            step = (step + 1) % 1000
            await asyncio.sleep(_TICK_SECONDS)


@contextlib.contextmanager
def running_sandbox(options: SandboxOptions | None = None, port: int = 0) -> Iterator[RunningSandbox]:
    """A sandbox that listens on 127.0.0.1 for as long as the block runs; port 0 is any free one."""
    ready = threading.Event()
    with _bound(port) as listener:
        server, running = _server(options or SandboxOptions(), listener, ready.set)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_SECONDS):
                raise FatalError("the sandbox did not start")
            yield running
        finally:
            server.should_exit = True
            thread.join()


def serve(options: SandboxOptions, port: int, on_ready: Callable[[str], None]) -> None:
    """Listens on 127.0.0.1 until interrupted; `on_ready` gets the URL once requests are answered."""
    with _bound(port) as listener:
        url = f"http://{_HOST}:{listener.getsockname()[1]}"
        server, _ = _server(options, listener, lambda: on_ready(url))
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listener])


def _bound(port: int) -> socket.socket:
    # asyncio turns Nagle's delay off only on sockets that name TCP: 40 ms per answer otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as problem:
        listener.close()
        raise ConfigurationError(
            "the port of the sandbox is taken", value=str(port), next_step="Name another, or 0 for any free one."
        ) from problem
    return listener


def _server(options: SandboxOptions, listener: socket.socket, on_ready: Callable[[], None]) -> tuple[_Server, RunningSandbox]:
    app = create_app(options)
    port = int(listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        timeout_keep_alive=75,  # longer than the pauses between polls, which would find the connection closed
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return _Server(config, on_ready), RunningSandbox(f"http://{_HOST}:{port}", port, app.state.sandbox)
