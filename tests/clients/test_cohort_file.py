from __future__ import annotations

import gzip
import pickle
import traceback
from pathlib import Path

import pytest

from etl import errors
from etl.clients.amplitude import (
    AmplitudeClient,
    DownloadedFile,
)
from tests.clients.service import API_KEY, BASIC, SECRET, SIGNATURE, FakeTime, Reply, Service, as_json, steady

CSV = b'"amplitude_id","user_id"\n"356896327775",""\n'
LIST = "/api/3/cohorts"
REQUEST = "/api/5/cohorts/request/c1"
STATUS = "/api/5/cohorts/request-status/r1"
FILE = "/api/5/cohorts/request/r1/file"
ACCEPTED = as_json(202, request_id="r1", cohort_id="c1")
RUNNING = as_json(202, async_status="JOB INPROGRESS", request_id="r1")
READY = as_json(200, async_status="JOB COMPLETED", request_id="r1")
LOST = Reply(then="reset-at-once")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (CSV, None),
        (gzip.compress(CSV, mtime=0), "gzip"),
        (gzip.compress(CSV, mtime=0), None),
        (gzip.compress(gzip.compress(CSV, mtime=0), mtime=0), "gzip"),
        (b"", None),
        (b"\xef\xbb\xbf" + CSV, None),
    ],
    ids=["plain", "encoded", "sniffed", "encoded twice", "empty", "byte order mark"],
)
def test_an_inline_file_is_unpacked(client: AmplitudeClient, service: Service, tmp_path: Path, body: bytes, encoding: str | None) -> None:
    service.on(FILE, Reply(body=body, headers={"Content-Encoding": encoding} if encoding else {}))
    target = tmp_path / "new" / "c.csv"
    received: list[int] = []
    found = client.download_cohort("r1", target, on_bytes=received.append)
    content = target.read_bytes()
    assert content == (CSV if body and not body.startswith(b"\xef") else body)
    assert found == DownloadedFile(target, len(content))
    assert (received[0], received[-1]) == (0, len(body))
    assert [path.name for path in target.parent.iterdir()] == ["c.csv"]


def redirect(store: Service, path: str = "/bucket/f.csv") -> Reply:
    return Reply(302, headers={"Location": f"{store.url}{path}?X-Amz-Signature={SIGNATURE}&X-Amz-Expires=60"})


def test_a_redirect_is_followed_without_credentials(
    client: AmplitudeClient,
    service: Service,
    store: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[str],
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service.on(FILE, redirect(store))
    store.on("/bucket/f.csv", redirect(store, "/moved.csv"))
    store.on("/moved.csv", Reply(body=gzip.compress(CSV, mtime=0), headers={"Content-Encoding": "gzip"}))
    client.download_cohort("r1", tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_bytes() == CSV
    assert service.seen[0].headers["authorization"] == BASIC
    assert [seen.path for seen in store.seen] == ["/bucket/f.csv", "/moved.csv"]
    assert not any("authorization" in seen.headers for seen in store.seen)
    assert dict(store.seen[0].query)["X-Amz-Signature"] == SIGNATURE
    assert f'urllib3.connectionpool {store.url} "GET /bucket/f.csv?**** HTTP/1.1" 302 0' in logged


def test_a_refused_link_is_replaced_by_a_new_one(client: AmplitudeClient, service: Service, store: Service, tmp_path: Path) -> None:
    service.on(FILE, redirect(store))
    store.on("/bucket/f.csv", Reply(403), Reply(403), Reply(body=CSV))
    client.download_cohort("r1", tmp_path / "c.csv")
    assert (service.count(FILE), store.count("/bucket/f.csv")) == (3, 3)


def test_a_link_that_is_always_refused_ends_without_showing_itself(
    client: AmplitudeClient, service: Service, store: Service, tmp_path: Path
) -> None:
    service.on(FILE, redirect(store))
    store.on("/bucket/f.csv", Reply(403, f"<StringToSign>{SIGNATURE}</StringToSign>".encode()))
    with pytest.raises(errors.ServerError) as caught:
        client.download_cohort("r1", tmp_path / "c.csv")
    assert str(caught.value) == (
        "The file store refused the address: it is valid for a minute only "
        f"(attempts 5, status 403, request GET {store.url}/bucket/f.csv?****)"
    )
    _shows_nothing(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nowhere_does_not_show_itself(client: AmplitudeClient, service: Service, store: Service, tmp_path: Path) -> None:
    service.on(FILE, redirect(store))
    store.on("/bucket/f.csv", LOST)
    with pytest.raises(errors.NetworkError) as caught:
        client.download_cohort("r1", tmp_path / "c.csv")
    _shows_nothing(caught.value)


def _shows_nothing(error: errors.ProfilemillError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(trace.format()) + repr(error) + str(error.__dict__) + str(copy.__dict__)
    assert "etl/clients/amplitude.py" in text
    for hidden in (SIGNATURE, SECRET, API_KEY, BASIC.removeprefix("Basic ")):
        assert hidden not in text


@pytest.mark.parametrize(
    ("status", "error", "calls"),
    [
        (404, errors.RequestExpired, 1),
        (410, errors.RequestExpired, 1),
        (429, errors.Throttled, 5),
        (503, errors.ServerError, 5),
    ],
)
@pytest.mark.parametrize("redirected", [False, True])
def test_statuses_of_the_file(
    client: AmplitudeClient,
    service: Service,
    store: Service,
    tmp_path: Path,
    status: int,
    error: type[Exception],
    calls: int,
    redirected: bool,
) -> None:
    service.on(FILE, redirect(store) if redirected else Reply(status))
    store.on("/bucket/f.csv", Reply(status))
    with pytest.raises(error):
        client.download_cohort("r1", tmp_path / "c.csv")
    assert service.count(FILE) == calls


@pytest.mark.parametrize("location", [None, "", "ftp://a.example/f"])
def test_a_redirect_to_nothing_usable(client: AmplitudeClient, service: Service, tmp_path: Path, location: str | None) -> None:
    service.on(FILE, Reply(302, headers={} if location is None else {"Location": location}))
    with pytest.raises(errors.ServerError, match="A redirect"):
        client.download_cohort("r1", tmp_path / "c.csv")


def test_a_circle_of_redirects_ends(client: AmplitudeClient, service: Service, store: Service, tmp_path: Path) -> None:
    service.on(FILE, redirect(store))
    store.on("/bucket/f.csv", redirect(store))
    with pytest.raises(errors.ServerError, match="from redirect to redirect"):
        client.download_cohort("r1", tmp_path / "c.csv")


@pytest.mark.parametrize(
    "broken",
    [
        Reply(body=b"<html>busy</html>"),
        Reply(body=b"  \n<!DOCTYPE html>"),
        Reply(body=b'{"error": "busy"}'),
        Reply(body=CSV, announced=500, then="close"),
        Reply(body=CSV * 9000, announced=900_000, then="reset"),
        Reply(body=gzip.compress(CSV, mtime=0)[:-3], headers={"Content-Encoding": "gzip"}),
        Reply(body=gzip.compress(CSV, mtime=0)[:-3]),
        LOST,
    ],
)
def test_a_damaged_file_is_fetched_again_and_never_seen(client: AmplitudeClient, service: Service, tmp_path: Path, broken: Reply) -> None:
    target = tmp_path / "c.csv"
    target.write_text("old")
    service.on(FILE, broken)
    with pytest.raises((errors.DamagedDownload, errors.NetworkError)):
        client.download_cohort("r1", target)
    assert service.count(FILE) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]
    assert target.read_text() == "old"
    service.on(FILE, broken, Reply(body=CSV))
    client.download_cohort("r1", target)
    assert target.read_bytes() == CSV


def test_the_retry_policy_is_the_callers(service: Service, time: FakeTime, tmp_path: Path) -> None:
    service.on(FILE, Reply(500))
    policy = steady(attempts=2, first=3.0)
    with (
        AmplitudeClient(API_KEY, SECRET, base_url=service.url, clock=time.clock, retry=policy) as client,
        pytest.raises(errors.ServerError),
    ):
        client.download_cohort("r1", tmp_path / "c.csv")
    assert time.slept == [3.0]
