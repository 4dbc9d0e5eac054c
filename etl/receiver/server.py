"""The process behind `profilemill receive`: one listener, one inbox, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from etl.errors import ConfigurationError, FatalError
from etl.receiver.app import Limits, Vendor, create_app
from etl.receiver.commits import GroupCommit
from etl.receiver.signatures import TOLERANCE, check_customerio, check_shared_secret
from etl.receiver.writer import InboxWriter, Rotation
from etl.settings import Clock, Secret

CUSTOMERIO, NAMI = "customerio", "nami"
CUSTOMERIO_KEY, NAMI_SECRET = "CUSTOMERIO_SIGNING_KEY", "NAMI_WEBHOOK_SECRET"

_LOCK = ".receiver.lock"
_LOCK_SECONDS = 2.0  # the kernel frees a killed process's lock at once; one that is ending needs a moment


@dataclass(frozen=True)
class ReceiverOptions:
    """`unsigned` accepts events that nothing proves to be the vendor's. `tolerance` None accepts any timestamp."""

    inbox: Path
    host: str = "127.0.0.1"
    port: int = 8090
    customerio_key: Secret | None = None
    nami_secret: Secret | None = None
    unsigned: bool = False
    tolerance: timedelta | None = TOLERANCE
    limits: Limits = field(default_factory=Limits)
    rotation: Rotation = field(default_factory=Rotation)


def serve(options: ReceiverOptions, on_ready: Callable[[str], None], clock: Clock | None = None) -> None:
    """Receives until SIGTERM or SIGINT; `on_ready` gets the URL once requests are answered.

    Then what was begun is answered, and the open files are finished. Raises ConfigurationError where the options, the port
    or the inbox do not allow it, FatalError where an open file cannot be finished.
    """
    check_options(options)
    with _locked(options.inbox), _bound(options.host, options.port) as listener:
        asyncio.run(_serve(options, listener, on_ready, clock or Clock()))


def check_options(options: ReceiverOptions) -> None:
    """Raises ConfigurationError where strangers could send events of Nami's."""
    if not options.nami_secret and not options.unsigned and not _is_loopback(options.host):
        raise ConfigurationError(
            f"without a shared secret anybody who reaches {options.host} could send events to /{NAMI}",
            next_step=f"export {NAMI_SECRET}=..., listen on 127.0.0.1, or say --allow-unsigned",
        )


async def _serve(options: ReceiverOptions, listener: socket.socket, on_ready: Callable[[str], None], clock: Clock) -> None:
    address = listener.getsockname()
    host = f"[{address[0]}]" if listener.family == socket.AF_INET6 else address[0]
    try:
        customerio = InboxWriter(options.inbox / CUSTOMERIO, options.rotation, clock)
        nami = InboxWriter(options.inbox / NAMI, options.rotation, clock)
    except OSError as error:
        raise ConfigurationError("cannot write to the inbox", value=f"{options.inbox}: {error.strerror}") from error
    try:
        async with GroupCommit(customerio) as customerio_inbox, GroupCommit(nami) as nami_inbox:
            app = create_app(_vendors(options, customerio_inbox, nami_inbox, clock), options.limits)
            server = _Server(_config(app, options.limits), lambda: on_ready(f"http://{host}:{address[1]}"))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            await server.serve([listener])
    except OSError as error:
        raise FatalError(
            "an open file of the inbox could not be finished; its lines are safe",
            value=error.strerror,
            next_step="start the receiver again: it finishes the file",
        ) from error


def _vendors(options: ReceiverOptions, customerio: GroupCommit, nami: GroupCommit, clock: Clock) -> list[Vendor]:
    key, secret = options.customerio_key, options.nami_secret
    anybody = (lambda headers, rest, body: None) if options.unsigned else None
    signed = (lambda headers, rest, body: check_customerio(headers, body, key, clock.now(), options.tolerance)) if key else anybody
    shared = (lambda headers, rest, body: check_shared_secret(headers, rest, secret)) if secret else (lambda headers, rest, body: None)
    return [
        Vendor(CUSTOMERIO, customerio, signed, closed=f"closed: the receiver has no {CUSTOMERIO_KEY}"),
        Vendor(NAMI, nami, shared, secret_in_path=True),
    ]


class _Server(uvicorn.Server):
    """uvicorn's server with signals of ours: it ends the process by the signal again, and so before files are finished."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    def stop(self) -> None:
        """Answers what was begun and ends; a second time it waits for nobody."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def _config(app: object, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="h11",  # the parser that every installation has
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,  # paths may hold the shared secret
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.requests,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


@contextlib.contextmanager
def _locked(inbox: Path) -> Iterator[None]:
    """One receiver for an inbox: another's open file must not be taken for a dead one's."""
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        lock = FileLock(inbox / _LOCK)
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout as error:
        raise ConfigurationError("another receiver writes to this inbox", value=str(inbox), next_step="stop it, or name another") from error
    except OSError as error:
        raise ConfigurationError("cannot write to the inbox", value=f"{inbox}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio turns Nagle's delay off only on sockets that name TCP: 40 ms per answer otherwise.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigurationError("cannot listen there", value=f"{host}: {error.strerror}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ConfigurationError(
                "cannot listen there", value=f"{host}:{port}: {error.strerror}", next_step="name another port; 0 is any free one"
            ) from error
        yield listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
