"""A scripted HTTP server on loopback, a clock that does not wait, and the replies that Amplitude gives."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from gzip import compress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from etl.clients.retry import RetryPolicy
from etl.settings import Clock

API_KEY = "0123456789abcdef0123456789abcdef"
SECRET = "s3cr3t-fedcba9876543210fedcba98765"
BASIC = "Basic " + base64.b64encode(f"{API_KEY}:{SECRET}".encode()).decode()
SIGNATURE = "presignedsignature0123456789"


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `announced` overrides Content-Length (-1: none); `then` is what follows the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    then: str = "keep"  # keep, close, reset, reset-at-once, silence


@dataclass(frozen=True)
class Seen:
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    method: str = "GET"
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Service:
    """Answers each path with its script, the last reply again and again; keeps what it saw."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Reply | Callable[[Seen], Reply]]] = {}
        self.seen: list[Seen] = []
        self.release = threading.Event()
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body leave together, or every answer costs a delayed ACK of 40 ms

            def do_GET(self) -> None:
                service.answer(self)

            def do_POST(self) -> None:
                service.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, path: str, *replies: Reply | Callable[[Seen], Reply]) -> None:
        self.scripts[path] = list(replies)

    def count(self, path: str) -> int:
        return sum(seen.path == path for seen in self.seen)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(parts.path, query, headers, handler.command, handler.rfile.read(int(headers.get("content-length", 0))))
        with self._lock:
            self.seen.append(seen)
            script = self.scripts.get(parts.path, [Reply(418, b"no script")])
            step = script.pop(0) if len(script) > 1 else script[0]
        reply = step(seen) if callable(step) else step
        handler.close_connection = reply.then != "keep"
        if reply.then == "silence":
            self.release.wait(10)
            return
        if reply.then != "reset-at-once":
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            if "Transfer-Encoding" not in reply.headers and reply.announced != -1:
                handler.send_header("Content-Length", str(len(reply.body) if reply.announced is None else reply.announced))
            handler.end_headers()
            handler.wfile.write(reply.body)
            handler.wfile.flush()
        if reply.then.startswith("reset"):
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class FakeTime:
    """Time that passes only by sleeping."""

    moment: datetime = datetime(2024, 3, 2, 12, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.moment, sleep=self.sleep)


def steady(**changes: Any) -> RetryPolicy:
    """A policy without chance: waits of 1, 2, 4 ... seconds."""
    return RetryPolicy(**{"jitter": lambda: 0.0, **changes})


def as_json(status: int = 200, headers: dict[str, str] | None = None, **body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})


def fault(status: int, details: str, headers: dict[str, str] | None = None) -> Reply:
    """Amplitude's nested error object."""
    error = {"http_code": status, "type": "unspecified", "metadata": {"details": details}}
    return as_json(status, headers, error=error)


def archive(*members: tuple[str, bytes]) -> bytes:
    """A zip of members, each gzipped unless its bytes already are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(name, content if content.startswith(b"\x1f\x8b") else compress(content))
    return file.getvalue()
