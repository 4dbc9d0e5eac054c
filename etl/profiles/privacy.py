"""Suppressed people: keyed hashes of their identifiers, so that nobody forgotten comes back with the next import.

The lake keeps no identifier of them. `state/privacy/suppressed.json` holds hashes made with the key in `state/privacy/key`;
without that key they say nothing and match nothing, so both belong into backups, apart from each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from etl.engines.keyed import keyed_hash, keyed_hash_sql, set_key
from etl.engines.local import Connection
from etl.engines.sql import quote
from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.landing.manifest import write_json
from etl.profiles.fragments import id_column, identity_of
from etl.profiles.resolve import head_query

Identifier = tuple[str, str]

_VARIABLE = "suppression"
# What may be an identifier in a line that is no JSON: whole JSON strings, and runs of what separates nothing.
_TOKENS = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"\',;:{}\[\]]+)')


@dataclass(frozen=True)
class Suppression:
    """The hashes of a lake and the key they are made with; neither is shown. `namespaces` are those of the hashes; `hashings`
    tell how identifiers were hashed by `pii_key` (a text without the key) whenever people were forgotten."""

    key: bytes = field(repr=False)
    hashes: frozenset[str] = field(repr=False)
    namespaces: tuple[str, ...] = ()
    hashings: tuple[str, ...] = ()

    def hash_of(self, identifier: Identifier) -> str:
        return keyed_hash(self.key, "\x1f".join(identifier))

    def with_(self, identifiers: Iterable[Identifier], hashing: str = "") -> Suppression:
        """The same with more people, whose identifiers are as this hashing makes them."""
        chosen = list(identifiers)
        names = tuple(sorted({*self.namespaces, *(namespace for namespace, _ in chosen)}))
        hashings = tuple(sorted({*self.hashings, hashing}))
        return Suppression(self.key, self.hashes | {self.hash_of(one) for one in chosen}, names, hashings)

    def holds(self, values: Iterable[str]) -> bool:
        """Whether one of the values is a suppressed identifier, by whatever name."""
        return any(self.hash_of((name, value)) in self.hashes for value in values for name in self.namespaces)

    def names(self, text: str) -> bool:
        """Whether a text that is no JSON object, a broken line say, holds a suppressed identifier as a whole word."""
        tokens = {found.group(1) or found.group(2) for found in _TOKENS.finditer(text)}
        words = {token for one in tokens if one for token in (one, _unescaped(one))}
        return self.holds(words)

    def prepare(self, connection: Connection) -> None:
        """Lets the SQL of this module work on a connection."""
        set_key(connection, _VARIABLE, self.key)
        hashes = pa.table({"hash": pa.array(sorted(self.hashes), pa.string())})
        connection.register("suppressed_hashes", hashes)
        connection.execute("CREATE OR REPLACE TEMP TABLE suppressed AS SELECT * FROM suppressed_hashes")
        connection.unregister("suppressed_hashes")


def suppressed_sql(namespace: str, value: str) -> str:
    """SQL that is true for suppressed identifiers, of two SQL texts. The connection has to be prepared."""
    return f"({keyed_hash_sql(_VARIABLE, f'{namespace} || chr(31) || {value}')} IN (SELECT hash FROM suppressed))"


def owner_suppressed_sql(by: Sequence[str]) -> str:
    """SQL over id columns that is true where the most trusted identifier of a row is suppressed: the row is that person's."""
    namespace, value = head_query(by)
    return f"coalesce({suppressed_sql(namespace, value)}, FALSE)"


def load_suppression(lake: Lake) -> Suppression | None:
    """Whom the lake suppresses; None where nobody. Raises ConfigurationError where the key is not the one of the hashes."""
    try:
        content = json.loads((_folder(lake) / "suppressed.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    key = _read_key(lake)
    if key is None or _key_id(key) != content["key"]:
        raise ConfigurationError(
            "the key of the suppressed people is missing or another one",
            where={"file": _folder(lake) / "key"},
            next_step="put the key back from a backup: without it, people who were forgotten would be imported again",
        )
    # Where it was not written down, nobody can tell: no warning is better than a wrong one.
    return Suppression(key, frozenset(content["hashes"]), tuple(content["namespaces"]), tuple(content.get("hashings", ())))


def start_suppression(lake: Lake) -> Suppression:
    """Whom the lake suppresses, with a key in any case; writes nothing."""
    return load_suppression(lake) or Suppression(_read_key(lake) or secrets.token_bytes(32), frozenset())


def store_suppression(lake: Lake, suppression: Suppression) -> None:
    """Keeps the key, readable by its owner alone, then the hashes; each file appears whole."""
    folder = _folder(lake)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "key"
    if not path.exists():
        part = folder / f".key.{os.getpid()}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(suppression.key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    content = {
        "key": _key_id(suppression.key),
        "namespaces": list(suppression.namespaces),
        "hashings": list(suppression.hashings),
        "hashes": sorted(suppression.hashes),
    }
    write_json(folder / "suppressed.json", content)


def copy_suppression(lake: Lake, other: Lake) -> None:
    """Suppresses the same people in another lake, one that is built beside this one."""
    if _folder(lake).is_dir():
        shutil.copytree(_folder(lake), _folder(other), dirs_exist_ok=True)


def without_suppressed(connection: Connection, lake: Lake, identified: str, by: Sequence[str]) -> str:
    """SQL for the rows of a query, which have id columns and `_identity`, without those of suppressed people. Where one of
    their identifiers stands in somebody else's row, it identifies nobody there. The connection is made ready for it."""
    suppression = load_suppression(lake)
    if suppression is None or not by:
        return identified
    suppression.prepare(connection)
    return without_suppressed_sql(identified, by)


def without_suppressed_sql(identified: str, by: Sequence[str]) -> str:
    """The same for a connection that is prepared."""
    named = [(name, id_column(name)) for name in by]
    ids = ", ".join(f"CASE WHEN {suppressed_sql(quote(name), column)} THEN NULL ELSE {column} END AS {column}" for name, column in named)
    others = f"SELECT * REPLACE ({ids}) FROM ({identified}) WHERE NOT {owner_suppressed_sql(by)}"
    return f"SELECT * REPLACE ({identity_of(by)} AS _identity) FROM ({others})"


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _folder(lake: Lake) -> Path:
    return lake.state / "privacy"


def _read_key(lake: Lake) -> bytes | None:
    try:
        return bytes.fromhex((_folder(lake) / "key").read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def _key_id(key: bytes) -> str:
    """Tells keys apart without telling anything about them."""
    return hashlib.sha256(b"profilemill suppression key\x1f" + key).hexdigest()[:16]
