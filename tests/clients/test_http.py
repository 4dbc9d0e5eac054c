"""The shared layer: statuses to errors, encodings, time-outs, what a broken connection becomes."""

from __future__ import annotations

import pickle
import socket
import threading
import traceback
from collections.abc import Iterator
from gzip import compress
from urllib.parse import parse_qsl

import pytest

from etl import errors
from etl.clients.http import HttpClient
from etl.settings import Secret
from tests.clients.service import API_KEY, BASIC, SECRET, FakeTime, Reply, Seen, Service, as_json, fault


@pytest.fixture
def http(service: Service, time: FakeTime) -> Iterator[HttpClient]:
    client = HttpClient(service.url, user=API_KEY, password=Secret(SECRET), clock=time.clock, read_timeout=5)
    yield client
    client.close()


def raised(http: HttpClient, path: str = "/x", **options: float) -> errors.ProfilemillError:
    with pytest.raises(errors.ProfilemillError) as caught, http.get(path, **options) as answer:  # type: ignore[arg-type]
        answer.json()
    return caught.value


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, errors.ServerError),
        (302, errors.ConfigurationError),
        (400, errors.BadRequest),
        (401, errors.CredentialsError),
        (403, errors.CredentialsError),
        (404, errors.NotFound),
        (408, errors.ServerError),
        (410, errors.NotFound),
        (418, errors.BadRequest),
        (429, errors.Throttled),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_each_status_has_its_error(http: HttpClient, service: Service, status: int, error: type[errors.ProfilemillError]) -> None:
    service.on("/x", Reply(status))
    found = raised(http)
    assert type(found) is error
    assert found.status == status


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"error":{"http_code":400,"metadata":{"details":"Too much"}}}', "Too much"),
        (b'{"error":{"message":"Invalid","metadata":{"details":"Country"}}}', "Invalid: Country"),
        (b'{"error":{"type":"x","metadata":null}}', '{"error":{"type":"x","metadata":null}}'),
        (b'{"error":"plain words"}', "plain words"),
        (b"not   json\nat all", "not json at all"),
        (b"[1]", "[1]"),
        (b"", None),
        (b"\xff", "�"),
    ],
)
def test_an_error_says_what_the_body_says(http: HttpClient, service: Service, body: bytes, value: str | None) -> None:
    service.on("/x", Reply(400, body))
    assert raised(http).value == value


def test_a_long_body_is_kept_to_300_characters_and_unzipped(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(500, compress(b"y" * 100_000), {"Content-Encoding": "gzip"}))
    found = raised(http)
    assert found.body == "y" * 300
    assert found.value == "y" * 200 + "…"


def test_a_credential_that_the_server_quotes_is_not_repeated(http: HttpClient, service: Service) -> None:
    service.on("/x", fault(400, f"key {API_KEY}, secret {SECRET}, header {BASIC}"))
    assert raised(http).value == "key ****, secret ****, header Basic ****"


def test_an_error_reads_well_and_survives_pickling(http: HttpClient, service: Service) -> None:
    service.on("/x", fault(429, "slow", {"Retry-After": "Sat, 02 Mar 2024 12:00:20 GMT"}))
    found = raised(http)
    copy = pickle.loads(pickle.dumps(found))
    expected = f"The server asks to slow down (status 429, request GET {service.url}/x): slow"
    assert [str(found), str(copy)] == [expected, expected]
    assert (copy.delay, copy.status, copy.body) == (20.0, 429, found.body)


def test_requests_say_who_asks(http: HttpClient, service: Service) -> None:
    service.on("/x", as_json(a=1))
    with http.get("/x") as answer:
        assert answer.json() == {"a": 1}
    sent = service.seen[0].headers
    assert sent["user-agent"].startswith("profilemill/")
    assert (sent["authorization"], sent["accept-encoding"]) == (BASIC, "gzip")


def test_credentials_outside_latin_1_are_sent_as_utf_8(service: Service, time: FakeTime) -> None:
    http = HttpClient(service.url, user="ключ", password=Secret("тайна"), clock=time.clock)
    service.on("/x", as_json())
    with http.get("/x") as answer:
        answer.json()
    http.close()
    assert service.seen[0].headers["authorization"] == "Basic 0LrQu9GO0Yc60YLQsNC50L3QsA=="


def test_an_unknown_content_encoding_is_damage(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=b"..", headers={"Content-Encoding": "br"}))
    found = raised(http)
    assert isinstance(found, errors.DamagedDownload)
    assert found.value == "br"


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_gzip_body_that_ends_early_is_damage(http: HttpClient, service: Service, cut: int) -> None:
    body = compress(b'{"a": "' + bytes(range(97, 123)) + b'"}')
    service.on("/x", Reply(body=body[:-cut], headers={"Content-Encoding": "gzip"}))
    assert isinstance(raised(http), errors.DamagedDownload)


def test_a_body_that_is_not_gzip_as_announced_is_damage(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=b"{}", headers={"Content-Encoding": "gzip"}))
    assert isinstance(raised(http), errors.DamagedDownload)


def test_a_body_in_several_gzip_members_is_joined(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=compress(b'{"a"') + compress(b": 1}"), headers={"Content-Encoding": "x-gzip"}))
    with http.get("/x") as answer:
        assert answer.json() == {"a": 1}


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[1]", b"", b"\xff\xfe"])
def test_a_200_that_is_no_json_object_is_damage(http: HttpClient, service: Service, body: bytes) -> None:
    service.on("/x", Reply(body=body))
    assert isinstance(raised(http), errors.DamagedDownload)


def test_a_body_shorter_than_announced_is_damage(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=b"{}", announced=9, then="close"))
    found = raised(http)
    assert isinstance(found, errors.DamagedDownload)
    assert (found.where["received"], found.where["announced"]) == ("2", "9")


def test_a_chunked_body_that_breaks_off_is_a_network_error(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=b"5\r\nab", headers={"Transfer-Encoding": "chunked"}, then="close"))
    found = raised(http)
    assert isinstance(found, errors.NetworkError)
    assert found.maybe_done


def test_a_reset_before_the_answer(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(then="reset-at-once"))
    found = raised(http)
    assert isinstance(found, errors.NetworkError)
    assert not found.maybe_done
    assert found.value == "ConnectionResetError: Connection reset by peer"


def test_a_reset_within_the_body(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(body=b"{" + b" " * 200_000, announced=900_000, then="reset"))
    found = raised(http)
    assert isinstance(found, errors.NetworkError)
    assert found.maybe_done


def test_silence_is_a_network_error_that_may_have_had_its_effect(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(then="silence"))
    found = raised(http, read_timeout=0.05)
    assert isinstance(found, errors.NetworkError)
    assert found.maybe_done


def test_nobody_listening(time: FakeTime) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        http = HttpClient(f"http://127.0.0.1:{taken.getsockname()[1]}", user=API_KEY, password=Secret(SECRET), clock=time.clock)
        found = raised(http)
        http.close()
    assert isinstance(found, errors.NetworkError)
    assert not found.maybe_done
    assert "Connection refused" in (found.value or "")


@pytest.mark.parametrize("url", ["amplitude.com", "ftp://a.example", "https://", ""])
def test_a_base_url_needs_a_scheme_and_a_host(url: str, time: FakeTime) -> None:
    with pytest.raises(errors.ConfigurationError, match="A base URL must start with http"):
        HttpClient(url, user="k", password=Secret("s"), clock=time.clock)


def test_no_traceback_shows_a_credential_even_with_local_variables(http: HttpClient, service: Service) -> None:
    service.on("/x", Reply(then="reset-at-once"))
    found = raised(http)
    assert found.__context__ is None
    trace = traceback.TracebackException.from_exception(found, capture_locals=True)
    text = "".join(trace.format())
    assert "etl/clients/http.py" in text
    for hidden in (API_KEY, SECRET, BASIC.removeprefix("Basic ")):
        assert hidden not in text


def test_threads_share_a_client(http: HttpClient, service: Service) -> None:
    def echo(seen: Seen) -> Reply:
        return as_json(n=dict(seen.query)["start"])

    service.on("/x", echo)
    found: list[str] = []

    def ask(number: int) -> None:
        for _ in range(5):
            with http.get("/x", params=[("start", str(number))]) as answer:
                found.append(answer.json()["n"])
        http.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(str(number) for number in range(8) for _ in range(5))


def test_parameters_repeat_and_are_encoded(http: HttpClient, service: Service) -> None:
    service.on("/x", as_json())
    with http.get("/x", params=[("propKeys", "a b&c"), ("propKeys", "é")]) as answer:
        answer.json()
        assert parse_qsl(answer.request.split("?")[1]) == service.seen[0].query == [("propKeys", "a b&c"), ("propKeys", "é")]
