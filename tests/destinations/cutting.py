"""A proxy in front of PostgreSQL that ends the server's side of a connection at a chosen message of the client."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import sleep
from typing import Any

import psycopg
import sqlalchemy as sa

_STATEMENTS = b"QPEdc"  # query, parse, execute, copied data, end of copied data


@dataclass
class Proxy:
    """`url` leads through it, under a `name` that the server knows the connection by. It ends the connection before
    message number `cut_at`; with `swallow`, the message goes through and its answer does not. `seen` counts the
    messages of the newest connection."""

    url: str
    name: str
    cut_at: int | None = None
    swallow: bool = False
    seen: int = 0


@contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy on a free port of 127.0.0.1, for one connection at a time."""
    target, name = sa.make_url(url), f"cut-{secrets.token_hex(6)}"
    with socket.create_server(("127.0.0.1", 0)) as listener, psycopg.connect(url, autocommit=True) as admin:
        through = target.set(host="127.0.0.1", port=listener.getsockname()[1]).update_query_dict(
            {"sslmode": "disable", "gssencmode": "disable", "application_name": name}
        )
        proxy = Proxy(through.render_as_string(hide_password=False), name)
        thread = threading.Thread(target=_serve, args=(proxy, listener, target, admin), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(proxy: Proxy, listener: socket.socket, target: sa.URL, admin: psycopg.Connection[Any]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.create_connection((str(target.host), target.port or 5432)) as server:
            proxy.seen = 0
            answers = threading.Thread(target=_pass_answers, args=(proxy, server, client), daemon=True)
            answers.start()
            _pass_messages(proxy, client, server, admin)
            answers.join(10)


def _pass_messages(proxy: Proxy, client: socket.socket, server: socket.socket, admin: psycopg.Connection[Any]) -> None:
    start = True  # the first message has no type
    while True:
        kind = b"" if start else _read(client, 1)
        length = _read(client, 4)
        body = _read(client, struct.unpack("!i", length)[0] - 4) if length else None
        if body is None or (not start and not kind):
            _close(server)
            return
        start = False
        proxy.seen += kind in _STATEMENTS and kind != b""
        if proxy.seen == proxy.cut_at and not proxy.swallow:
            _terminate(admin, proxy.name)
        try:
            server.sendall(kind + length + body)
        except OSError:
            return


def _pass_answers(proxy: Proxy, server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while answer := server.recv(65536):
            if proxy.swallow and proxy.seen == proxy.cut_at:
                break
            client.sendall(answer)
    _close(client)


def _terminate(admin: psycopg.Connection[Any], name: str) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    while admin.execute(ended, [name]).fetchall():
        sleep(0.001)


def _read(source: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        try:
            piece = source.recv(count - len(data))
        except OSError:
            return None
        if not piece:
            return None
        data += piece
    return data


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
