"""One function that takes credentials out of texts, and the filter that applies it to what urllib3 logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

_SHOWN_PARAMETERS = frozenset({"start", "end", "props", "propKeys", "lastComputed", "includeSyncInfo"})
_USER_INFO = re.compile(r"//[^/\s@\"'<>]+@")
_QUERY = re.compile(r"\?([^\s\"'<>]*=[^\s\"'<>]*)")
_NAMED = re.compile(
    r"(?i)(signature|credential|security-token|secret[\w-]*|api_?key|apikey|token|password|authorization)"
    r"([\"']?\s*[=:]\s*[\"']?)(?!\s*(?:basic|bearer)\b)[^\s\"',;<>&]+"
)
_SCHEME = re.compile(r"(?i)\b(basic|bearer|api-key)\s+[A-Za-z0-9+/=_.-]{20,}")
_SHORTEST_SECRET = 8
_URLLIB3_LOGGERS = (
    "urllib3.connectionpool",
    "urllib3.connection",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)


def clean(text: str, secrets: Sequence[str] = ()) -> str:
    """The text, or URL, without credentials; everything else stays.

    A query string is shown only if all its parameters are known to be harmless, so of a presigned URL the host and the
    path are left. User names and passwords in URLs, values named like a credential, and `Authorization` values go too.
    Each of `secrets` is replaced wherever it stands; those under 8 characters are not, they would hit ordinary words.

    >>> clean("https://files.example.com/c.csv?X-Amz-Signature=abc")
    'https://files.example.com/c.csv?****'
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "****")
    text = _USER_INFO.sub("//****@", text)
    text = _QUERY.sub(_query, text)
    text = _SCHEME.sub(r"\1 ****", text)
    return _NAMED.sub(r"\1\2****", text)


def _query(match: re.Match[str]) -> str:
    names = {name for name, _ in parse_qsl(match[1], keep_blank_values=True)}
    return match[0] if names and names <= _SHOWN_PARAMETERS else "?****"


class _CleanRecords(logging.Filter):
    """Lets every record through, cleaned; tracebacks go, since an exception of urllib3 quotes the URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


_CLEAN_RECORDS = _CleanRecords()


def clean_urllib3_logs() -> None:
    """From now on nothing that urllib3 logs in this process, at any level, shows a query string with credentials.

    urllib3 logs each request line with its query at DEBUG. A filter on a logger does not see the records of the loggers
    below it, so it stands on each that logs. Calling again changes nothing. What `http.client` prints when
    somebody sets its `debuglevel` is not logging and cannot be cleaned.
    """
    for name in _URLLIB3_LOGGERS:
        logging.getLogger(name).addFilter(_CLEAN_RECORDS)
