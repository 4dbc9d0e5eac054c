from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.clients.redact import clean, clean_urllib3_logs


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://a.example/x", "https://a.example/x"),
        (
            "https://a.example/export?start=20240302T00&end=20240302T01",
            "https://a.example/export?start=20240302T00&end=20240302T01",
        ),
        ("https://a.example/export?start=1&api_key=abc", "https://a.example/export?****"),
        ("https://b.example/k/f.csv?X-Amz-Signature=ab&X-Amz-Date=1", "https://b.example/k/f.csv?****"),
        ('"GET /k/f.csv?X-Amz-Signature=ab HTTP/1.1" 200', '"GET /k/f.csv?**** HTTP/1.1" 200'),
        ("https://user:pass@a.example/x", "https://****@a.example/x"),
        ("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Authorization: Basic ****"),
        ("secret_key=abc, other=1", "secret_key=****, other=1"),
        ('{"api_key": "abc"}', '{"api_key": "****"}'),
        ("Invalid API Key", "Invalid API Key"),
        ("Is it there? Yes", "Is it there? Yes"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_given_secrets_go_wherever_they_stand_but_short_ones_stay() -> None:
    assert clean("bad key 0123456789", ["0123456789", "key"]) == "bad key ****"


@given(st.text())
def test_any_text_can_be_cleaned_and_stays_clean(text: str) -> None:
    address = "https://s.example/f?X-Amz-Signature=0a1b2c3d4e5f " + text
    assert "0a1b2c3d4e5f" not in clean(address)


def test_what_urllib3_logs_is_cleaned_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    clean_urllib3_logs()
    clean_urllib3_logs()
    for name in ("connectionpool", "connection", "poolmanager", "response", "util.retry"):
        logger = logging.getLogger(f"urllib3.{name}")
        assert len(logger.filters) == 1
        try:
            raise ValueError("/f?X-Amz-Signature=hidden")
        except ValueError:
            logger.debug("%s %s", "/f?X-Amz-Signature=hidden", 200, exc_info=True)
    assert caplog.messages == ["/f?**** 200"] * 5
    assert "hidden" not in caplog.text
