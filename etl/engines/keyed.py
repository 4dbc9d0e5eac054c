"""HMAC-SHA256 inside SQL, without the key in any SQL text: it is kept in variables of the connection."""

from __future__ import annotations

import hashlib
import hmac

from etl.engines.local import Connection

_BLOCK = 64


def keyed_hash(key: bytes, text: str) -> str:
    """HMAC-SHA256 of the text's UTF-8, as 64 hex digits."""
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()


def set_key(connection: Connection, name: str, key: bytes) -> None:
    """Lets the SQL of `keyed_hash_sql(name, ..)` work on this connection. `name` is a plain word."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    connection.execute(f"SET VARIABLE {name}_inner = ?", [bytes(byte ^ 0x36 for byte in block)])
    connection.execute(f"SET VARIABLE {name}_outer = ?", [bytes(byte ^ 0x5C for byte in block)])


def keyed_hash_sql(name: str, text: str) -> str:
    """SQL for the same of an SQL text, null for null. Fails where the key was not set: no value may pass unhashed or vanish."""
    inner, outer = (f"coalesce(getvariable('{name}_{part}'), {_missing(name)})" for part in ("inner", "outer"))
    return f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"


def _missing(name: str) -> str:
    return f"CAST(error('the key {name} is not set') AS BLOB)"
