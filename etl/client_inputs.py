"""What `profilemill client` is given: keys from a jobs file or the environment, and files of objects or of ids."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from etl.clients.amplitude import AmplitudeClient
from etl.connections import Keys, keys_of
from etl.errors import ConfigurationError
from etl.faults import nearest
from etl.jobs import find_jobs_file, load_jobs
from etl.settings import Secret

API_KEY, SECRET_KEY, REGION, BASE_URL = "AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY", "AMPLITUDE_REGION", "AMPLITUDE_BASE_URL"
_SHOWN = 60


def open_client(authorization: str | None, jobs: Path | None, **defaults: Any) -> AmplitudeClient:
    """A client for an authorization of the jobs file, or without a name for the keys in the environment.

    `defaults` are the ids of what is sent. ConfigurationError names what is not there.
    """
    if authorization is None:
        if jobs is not None:
            raise ConfigurationError("--jobs without --authorization", next_step="name the authorization of the jobs file")
        api_key, region = os.environ.get(API_KEY, ""), os.environ.get(REGION, "us")
        if not api_key:
            raise ConfigurationError("There is no API key", next_step=f"set {API_KEY}, or name an authorization: --authorization NAME")
        secret = os.environ.get(SECRET_KEY)
        base_url = os.environ.get(BASE_URL) or None
        return AmplitudeClient(api_key, Secret(secret) if secret else None, region=region, base_url=base_url, **defaults)  # type: ignore[arg-type]
    keys = _keys(authorization, find_jobs_file(jobs))
    return AmplitudeClient(keys.api_key, keys.secret_key, region=keys.region, base_url=keys.base_url, **defaults)


def _keys(name: str, path: Path) -> Keys:
    known = load_jobs(path).authorizations
    if name not in known:
        hint = nearest(name, known) or "there are " + (", ".join(known) or "none")
        raise ConfigurationError("There is no such authorization", where={"file": path.name}, value=name, next_step=hint)
    return keys_of(name, known[name])


def objects(source: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file (`-`: stdin; gzip by its name): JSON lines, read as they are asked for, or one JSON array or object.

    ConfigurationError names the line, or the place, that is no object.
    """
    with _opened(source) as file, _readable(source):
        number, first = next(((number, line) for number, line in enumerate(file, start=1) if line.strip()), (0, ""))
        beginning = first.removeprefix("\ufeff").lstrip()
        if beginning.startswith("{") and _is_whole(beginning):
            yield from _of_lines(beginning, number, file)
            return
        found = _parsed(beginning + file.read(), "file", str(source)) if beginning else []
    for index, item in enumerate(found if isinstance(found, list) else [found]):
        if not isinstance(item, dict):
            raise ConfigurationError("An object is expected", where={"index": index}, value=json.dumps(item)[:_SHOWN])
        yield item


@contextmanager
def written(target: Path) -> Iterator[None]:
    """What the block writes there. ConfigurationError, as early as can be, where nothing can be written."""
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigurationError("cannot write the file", value=f"{target}: {error.strerror or error}") from None


def ids_in(source: Path) -> list[str]:
    """The ids of a file, one a line (`-`: stdin); blank lines do not count."""
    with _opened(source) as file, _readable(source):
        return [found for line in file if (found := line.removeprefix("\ufeff").strip())]


def properties_of(pairs: Iterable[str], text: str | None) -> dict[str, Any]:
    """Properties from `KEY=VALUE` texts, whose values are JSON or else texts, and from a JSON object."""
    found: dict[str, Any] = {}
    if text is not None:
        whole = _parsed(text, "option", "--properties")
        if not isinstance(whole, dict):
            raise ConfigurationError("--properties is a JSON object", value=text[:_SHOWN])
        found |= whole
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ConfigurationError("write a property as KEY=VALUE", value=pair[:_SHOWN])
        try:
            found[key] = _loaded(value)
        except ValueError:
            found[key] = value
    return found


def day(text: str, option: str) -> date:
    """A day such as 2024-03-02."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError("This is not a day", where={"option": option}, value=text, next_step="such as 2024-03-02") from None


def event_or_name(text: str) -> str | dict[str, Any]:
    """An event's name, or the API's object where the text is one."""
    if not text.lstrip().startswith("{"):
        return text
    found: dict[str, Any] = _parsed(text, "argument", "EVENT")
    return found


def condition(text: str) -> Any:
    """A condition of a segment, as the API's JSON."""
    found = _parsed(text, "option", "--segment")
    if not isinstance(found, dict):
        raise ConfigurationError("--segment is a JSON object", value=text[:_SHOWN], next_step="with prop, op and values; may be repeated")
    return found


def _opened(source: Path) -> IO[str]:
    if str(source) == "-":
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")  # whatever the terminal is set to
    try:
        return gzip.open(source, "rt", encoding="utf-8") if source.suffix == ".gz" else source.open(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError("cannot read the input", value=f"{source}: {error.strerror or error}") from error


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ConfigurationError("cannot read the input", value=f"{source}: {error}") from error


def _is_whole(text: str) -> bool:
    try:
        _loaded(text)
    except ValueError:
        return False
    return True


def _of_lines(first: str, before: int, rest: Iterable[str]) -> Iterator[dict[str, Any]]:
    yield _loaded(first)
    for number, line in enumerate(rest, start=before + 1):
        if not line.strip():
            continue
        item = _parsed(line, "line", str(number))
        if not isinstance(item, dict):
            raise ConfigurationError("An object is expected", where={"line": number}, value=line.strip()[:_SHOWN])
        yield item


def _parsed(text: str, kind: str, place: str) -> Any:
    try:
        return _loaded(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise ConfigurationError("This is not JSON", where={kind: place}, value=f"{text.strip()[:_SHOWN]} ({reason})")


def _loaded(text: str) -> Any:
    """JSON, and no more: Python's own reader takes NaN and Infinity too, which cannot be sent."""
    return json.loads(text, parse_constant=_refused)


def _refused(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")
