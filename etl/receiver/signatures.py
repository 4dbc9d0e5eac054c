"""Whether a webhook comes from its vendor. Each check answers None, or why the request is refused."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from etl.settings import Secret

TOLERANCE = timedelta(minutes=5)
_VERSION = b"v0"


def signature(key: Secret, timestamp: str, body: bytes) -> str:
    """Customer.io's signature: HMAC-SHA256 over version, timestamp and the body as it was sent, in hexadecimal digits."""
    return hmac.new(key.reveal().encode(), _VERSION + b":" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


def check_customerio(
    headers: Mapping[str, str], body: bytes, key: Secret, now: datetime, tolerance: timedelta | None = TOLERANCE
) -> str | None:
    """Checks X-CIO-Signature and X-CIO-Timestamp. Timestamps further than `tolerance` from `now` are refused (None: none are)."""
    timestamp, given = headers.get("x-cio-timestamp", ""), headers.get("x-cio-signature", "")
    if not timestamp or not given:
        return "X-CIO-Timestamp or X-CIO-Signature is missing"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "X-CIO-Timestamp is no number of seconds"
    if not hmac.compare_digest(signature(key, timestamp, body).encode(), given.strip().lower().encode()):
        return "the signature is not that of this body"
    if tolerance is not None and abs(now.timestamp() - int(timestamp)) > tolerance.total_seconds():
        return "X-CIO-Timestamp is too far from the receiver's clock"
    return None


def check_shared_secret(headers: Mapping[str, str], given: str, secret: Secret) -> str | None:
    """Checks a secret that stands in the path, or in the header `Authorization: Bearer ...`."""
    bearer = headers.get("authorization", "")
    candidate = given or (bearer[7:].strip() if bearer[:7].lower() == "bearer " else "")
    same = hmac.compare_digest(secret.reveal().encode(), candidate.encode())
    return None if same else "the shared secret is missing or wrong"
