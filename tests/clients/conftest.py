"""A service, a time and a client for each test; and for all of them, no credential in any log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from etl.clients.amplitude import AmplitudeClient
from tests.clients.service import API_KEY, BASIC, SECRET, SIGNATURE, FakeTime, Service, steady


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def store() -> Iterator[Service]:
    """A second server: where presigned addresses lead."""
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def client(service: Service, time: FakeTime) -> Iterator[AmplitudeClient]:
    with AmplitudeClient(API_KEY, SECRET, base_url=service.url, clock=time.clock, retry=steady()) as client:
        yield client


class Lines(logging.Handler):
    """Keeps all that is logged as text; the handler of `caplog` is emptied before a fixture is left."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Holds for every test here: at DEBUG, nothing logged by anybody shows a credential."""
    caplog.set_level(logging.DEBUG)
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)
    text = "\n".join(handler.lines)
    for hidden in (SECRET, API_KEY, BASIC.removeprefix("Basic "), SIGNATURE):
        assert hidden not in text
