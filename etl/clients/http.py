"""The shared HTTP layer: sends one request, turns what goes wrong into the error tree, shows no credential.

Retrying is in `retry.py`; a client wraps whatever may be repeated (a request, or a whole download) in it.
"""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from etl.clients.meanings import Meaning, default_meaning, details
from etl.clients.redact import clean, clean_urllib3_logs
from etl.clients.retry import log, retry_after
from etl.errors import (
    ConfigurationError,
    DamagedDownload,
    NetworkError,
    ProfilemillError,
    ServerError,
    TransientError,
)
from etl.settings import Clock, Secret, package_version

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
_CHUNK = 1 << 16
_LONGEST_BODY = 300
_BODY_READ = 8192


class Answer:
    """An answer whose body has not been read; valid only inside the `with` that gave it."""

    def __init__(self, response: requests.Response, request: str) -> None:
        self._response = response
        self.request = request
        self.status = response.status_code

    def header(self, name: str) -> str | None:
        return self._response.headers.get(name)

    def received(self) -> Iterator[bytes]:
        """The bytes as sent, before any decoding. Raises NetworkError, or DamagedDownload if fewer than announced."""
        announced = self.header("Content-Length")
        expected = int(announced) if announced and announced.isdigit() and not self._chunked() else None
        count = 0
        chunks = self._response.raw.stream(_CHUNK, decode_content=False)
        while True:
            failure: TransientError | None = None
            chunk: bytes | None = None
            try:
                chunk = next(chunks, None)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failure = self._broken(error, count, expected)
            if failure:
                raise failure
            if chunk is None:
                break
            count += len(chunk)
            yield chunk
        if expected is not None and count != expected:
            raise self._short(count, expected)

    def chunks(self, received: Iterator[bytes] | None = None) -> Iterator[bytes]:
        """The body with its `Content-Encoding` undone (gzip only: nothing else is asked for)."""
        received = self.received() if received is None else received
        encoding = (self.header("Content-Encoding") or "identity").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            return gunzipped(received, self.request)
        if encoding in ("identity", ""):
            return received
        raise DamagedDownload("The answer has a content encoding that was not asked for", where={"request": self.request}, value=encoding)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; anything else is a DamagedDownload."""
        body = b"".join(self.chunks())
        found: object = None
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            start = clean(" ".join(body[:_BODY_READ].decode("utf-8", "replace").split()))
            raise DamagedDownload("The answer is not a JSON object", where={"request": self.request}, value=start[:_LONGEST_BODY])
        return found

    def text(self) -> str:
        """The whole body; bytes that are not UTF-8 become a replacement character."""
        return b"".join(self.chunks()).decode("utf-8", "replace")

    def start_of_body(self) -> str:
        """The first few thousand characters of an error's body; empty if it cannot be read."""
        text = b""
        try:
            for chunk in self.chunks():
                text += chunk
                if len(text) >= _BODY_READ:
                    break
        except TransientError:
            pass
        return text[:_BODY_READ].decode("utf-8", "replace")

    def _chunked(self) -> bool:
        return "chunked" in (self.header("Transfer-Encoding") or "").lower()

    def _short(self, count: int, expected: int) -> DamagedDownload:
        place = {"request": self.request, "received": count, "announced": expected}
        return DamagedDownload("The answer is shorter than announced", where=place)

    def _broken(self, error: Exception, count: int, expected: int | None) -> TransientError:
        cause = error.args[1] if len(error.args) > 1 else None
        if expected is not None and isinstance(cause, urllib3.exceptions.IncompleteRead):
            return self._short(max(count, cause.partial or 0), expected)
        place = {"request": self.request, "received": count}
        failure = NetworkError("The answer broke off", where=place, value=_reason(error))
        failure.maybe_done = True
        return failure


def gunzipped(chunks: Iterator[bytes], request: str) -> Iterator[bytes]:
    """The chunks unpacked from gzip (several members allowed); DamagedDownload if they are not gzip or end early."""
    decoder, begun = zlib.decompressobj(wbits=31), False
    for received in chunks:
        rest = received
        while rest:
            failed = False
            try:
                piece = decoder.decompress(rest)
            except zlib.error:
                failed = True
            if failed:
                raise DamagedDownload("The answer's gzip encoding is damaged", where={"request": request})
            begun = True
            if piece:
                yield piece
            rest = decoder.unused_data if decoder.eof else b""
            if decoder.eof:
                decoder, begun = zlib.decompressobj(wbits=31), False
                rest = rest.lstrip(b"\0")
    if begun:
        raise DamagedDownload("The answer's gzip encoding ends early", where={"request": request})


class _Basic(AuthBase):
    """Basic authentication in UTF-8; `requests` would use Latin-1 and fail on other keys with the key in the error."""

    def __init__(self, user: str, password: Secret) -> None:
        pair = f"{user}:{password.reveal()}".encode()
        self.pair = Secret(base64.b64encode(pair).decode("ascii"))

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "Basic " + self.pair.reveal()
        return request


class _Unsigned(AuthBase):
    """No authentication, not even one that `requests` would find in a netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        return request


class HttpClient:
    """Sends requests to one base URL with one pair of credentials; any number of threads may share it.

    Each thread has a session of its own. Redirects are never followed. Close it, or use it in a `with`.
    Without a password, what needs credentials is refused before it is sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        user: str,
        password: Secret | None,
        clock: Clock,
        meanings: Mapping[int, Meaning] | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                "A base URL must start with http:// or https:// and name a host",
                value=clean(base_url),
                next_step="correct base_url, or leave it out to use the region's host",
            )
        self._auth = _Basic(user, password) if password else None
        self._secrets = (password, Secret(user), self._auth.pair) if password and self._auth else (Secret(user),)
        self._clock = clock
        self._meanings = dict(meanings or {})
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._local = threading.local()
        clean_urllib3_logs()

    def __repr__(self) -> str:
        return f"HttpClient({clean(self.base_url)!r})"

    def close(self) -> None:
        """Closes the connections of the calling thread; those of other threads close when the threads end."""
        session = getattr(self._local, "session", None)
        if session is not None:
            session.close()
            del self._local.session

    @contextmanager
    def get(
        self,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        accepted: Sequence[int] = (200,),
        meanings: Mapping[int, Meaning] | None = None,
        read_timeout: float | None = None,
        encoding: str = "gzip",
    ) -> Iterator[Answer]:
        """The answer to one GET with credentials if its status is `accepted`; otherwise the error that it means."""
        url = Secret(self.base_url + path + ("?" + urlencode(params) if params else ""))
        with self._send("GET", url, self._signed(), read_timeout, encoding) as answer:
            if answer.status not in accepted:
                raise self.error(answer, meanings)
            yield answer

    @contextmanager
    def post(
        self,
        path: str,
        body: bytes,
        content_type: str,
        *,
        signed: bool,
        accepted: Sequence[int] = (200,),
        meanings: Mapping[int, Meaning] | None = None,
        read_timeout: float | None = None,
    ) -> Iterator[Answer]:
        """The answer to one POST if its status is `accepted`; otherwise the error that it means.

        `signed` sends the credentials in the header; some APIs want them in the body instead. NetworkError has
        `maybe_done` unless no connection was made at all.
        """
        auth = self._signed() if signed else _Unsigned()
        url = Secret(self.base_url + path)
        with self._send("POST", url, auth, read_timeout, "gzip", body, {"Content-Type": content_type}) as answer:
            if answer.status not in accepted:
                raise self.error(answer, meanings)
            yield answer

    @contextmanager
    def get_unsigned(self, url: Secret, *, read_timeout: float | None = None) -> Iterator[Answer]:
        """The answer to one GET of a presigned URL, whatever its status; sends no credentials of ours."""
        with self._send("GET", url, _Unsigned(), read_timeout, "gzip") as answer:
            yield answer

    def error(self, answer: Answer, meanings: Mapping[int, Meaning] | None = None, text: str | None = None) -> ProfilemillError:
        """The error that an answer means. `text` is its body, where that has been read already."""
        text = answer.start_of_body() if text is None else text
        meaning = {**self._meanings, **(meanings or {})}.get(answer.status) or default_meaning(answer.status)
        error = meaning.error(
            meaning.what,
            where={"status": answer.status, "request": answer.request},
            value=self._shown(details(text)) or None,
            next_step=meaning.next_step,
        )
        error.status, error.body = answer.status, self._shown(text)
        if isinstance(error, TransientError):
            error.delay = retry_after(answer.header("Retry-After"), self._clock.now())
        return error

    def _signed(self) -> AuthBase:
        if self._auth is None:
            raise ConfigurationError("This call needs the secret key, and there is none", next_step="give it beside the API key")
        return self._auth

    @contextmanager
    def _send(
        self,
        method: str,
        url: Secret,
        auth: AuthBase,
        read_timeout: float | None,
        encoding: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        request = f"{method} " + clean(url.reveal(), self._revealed())
        failure: ProfilemillError | None = None
        response: requests.Response | None = None
        try:
            response = self._session().request(
                method,
                url.reveal(),
                data=body,
                auth=auth,
                headers={"Accept-Encoding": encoding, **(headers or {})},
                stream=True,
                allow_redirects=False,
                timeout=(self._connect_timeout, read_timeout or self._read_timeout),
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            failure = _unanswered(error, request, reading=method == "GET")
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            failure = ConfigurationError("A request could not be made", where={"request": request}, value=type(error).__name__)
        # Raised out here, so that no chained exception quotes the URL.
        if response is None:
            raise failure or ServerError("No answer", where={"request": request})
        try:
            log.debug('answer status=%d request="%s"', response.status_code, request)
            yield Answer(response, request)
        finally:
            response.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = f"profilemill/{package_version()}"
        return session

    def _shown(self, text: str) -> str:
        """A foreign text on one line, cleaned first, then cut."""
        return clean(" ".join(text.split()), self._revealed())[:_LONGEST_BODY]

    def _revealed(self) -> list[str]:
        return [secret.reveal() for secret in self._secrets]


def _unanswered(error: requests.RequestException, request: str, *, reading: bool) -> NetworkError:
    """A failure before the answer's first line: the server may be at work on it after a read time-out, and where it was to
    change something, whenever it was reached at all."""
    waited = isinstance(error, requests.ReadTimeout)
    what = "No answer in time" if waited else "No connection, or it closed without an answer"
    next_step = "run again; if it stays, check the network, and base_url where one is set"
    failure = NetworkError(what, where={"request": request}, value=_reason(error), next_step=next_step)
    failure.maybe_done = waited or not (reading or _never_reached(error))
    return failure


def _never_reached(error: requests.RequestException) -> bool:
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _reason(error: BaseException) -> str:
    """The innermost cause in words. The message of an outer one quotes the URL."""
    inner: BaseException = error
    for _ in range(5):
        causes = (getattr(inner, "reason", None), *inner.args[::-1], inner.__cause__)
        found = next((item for item in causes if isinstance(item, BaseException)), None)
        if found is None:
            break
        inner = found
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else ""
    return f"{type(inner).__name__}: {clean(text)}" if text else type(inner).__name__
