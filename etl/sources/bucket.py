"""An inbox in an object store: every finished file below a URL such as `s3://events/nami`, read through fsspec.

A bucket syncs no appended line, so receipts stand in the lake. An object is known by its key; its ETag says whether it is
still the one that was listed. Keys below `receipts/` and `torn/` are left alone: the folder of a receiver may be copied as it is.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from etl.errors import ConfigurationError, CredentialsError, NetworkError, NotFound, TransientError
from etl.sources.inbox import RECEIPTS, TORN, InboxFile, is_finished

# What fsspec calls the store, and the extra of this package that brings it.
STORES = {"s3": ("s3", "s3"), "gs": ("gcs", "gcs")}
_VERSIONS = ("ETag", "etag", "generation", "md5Hash")
_LONGEST_STEM = 180
_NO_KEYS = re.compile("Credential|Token|SSO|Profile|LoginRefresh|DefaultCredentials")
_PARTS_NOT_SHOWN = re.compile(r"(?<=//)[^/@\s]*@|\?[^\s\"']*")


@dataclass(frozen=True)
class BucketInbox:
    """The files below a URL. `receipts` is a folder of the lake; the keys are those that the environment has for the store."""

    url: str
    receipts: Path

    @property
    def place(self) -> str:
        return self.url

    def stem(self, name: str) -> str:
        quoted = quote(name, safe=" ")
        return quoted if len(quoted) <= _LONGEST_STEM else f"{hashlib.sha256(name.encode()).hexdigest()[:24]}-{quoted[-100:]}"

    def files(self) -> list[InboxFile]:
        """The files that are whole, in the order of their keys. Raises ConfigurationError, CredentialsError and NetworkError."""
        with _told(self.url, "list"):
            found: dict[str, dict[str, Any]] = self._store.find(self._root, detail=True)
        files = [self._file(path, info) for path, info in found.items() if info.get("type") == "file"]
        return sorted((file for file in files if _is_read(file.name)), key=lambda file: file.name)

    def fetch(self, file: InboxFile, folder: Path) -> Path:
        """A copy of the file as it was listed. Raises TransientError where it was replaced meanwhile."""
        target = folder / self.stem(file.name)
        path = f"{self._root}/{file.name}"
        with _told(self.url, "read", file.name):
            self._store.get_file(path, str(target))
            now = self._file(path, self._store.info(path))
        if now != file or target.stat().st_size != file.size:
            raise TransientError(
                "an object was replaced while it was read",
                where={"inbox": self.url, "file": file.name},
                next_step="run again; put new events under a new key",
            )
        return target

    def replace(self, file: InboxFile, content: Path) -> InboxFile:
        """Puts other content under the key of a file. Raises CredentialsError where the keys may only read."""
        path = f"{self._root}/{file.name}"
        with _told(self.url, "written", file.name):
            self._store.put_file(str(content), path)
            return self._file(path, self._store.info(path))

    @property
    def _root(self) -> str:
        return self.url.partition("://")[2].strip("/")

    @cached_property
    def _store(self) -> Any:
        import fsspec

        scheme = self.url.partition("://")[0]
        protocol, extra = STORES[scheme]
        try:
            # Another process adds and removes objects: nothing may be remembered of them.
            return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            raise ConfigurationError(
                f"an inbox at {scheme}:// needs a package that is not installed",
                where={"inbox": self.url},
                next_step=f"pip install 'profilemill[{extra}]'",
            ) from error

    def _file(self, path: str, info: Mapping[str, Any]) -> InboxFile:
        version = next((str(info[name]).strip('"') for name in _VERSIONS if info.get(name)), "")
        return InboxFile(path.removeprefix(f"{self._root}/"), int(info["size"]), version)


def _is_read(name: str) -> bool:
    *folders, last = name.split("/")
    return is_finished(last) and not any(part.startswith((".", "_")) or part in (RECEIPTS, TORN) for part in folders)


@contextmanager
def _told(url: str, action: str, file: str | None = None) -> Iterator[None]:
    """Gives what a store raises as our errors. Stores have classes of their own, which are not imported: they are told by name."""
    where = {"inbox": url, "file": file}
    try:
        yield
    except FileNotFoundError as error:
        if file is not None:
            raise NotFound("an object of the inbox is gone", where=where) from error
        raise ConfigurationError(
            "there is no such bucket",
            where=where,
            next_step="correct `inbox:` or make the bucket; a store of another vendor is named by AWS_ENDPOINT_URL",
        ) from error
    except PermissionError as error:
        raise CredentialsError(
            f"the bucket refuses to be {'listed' if action == 'list' else action}",
            where=where,
            value=_shown(error),
            next_step="check the keys in the environment, and that they may list the bucket and read its objects",
        ) from error
    except Exception as error:
        name, module = type(error).__name__, type(error).__module__.partition(".")[0]
        if _NO_KEYS.search(name):
            raise CredentialsError(
                "there are no usable keys for the bucket",
                where=where,
                value=_shown(error),
                next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or GOOGLE_APPLICATION_CREDENTIALS for gs://)",
            ) from error
        if name == "ParamValidationError" or (isinstance(error, OSError) and error.errno == errno.EINVAL):
            raise ConfigurationError(
                "the bucket cannot be called so", where=where, value=_shown(error), next_step="correct `inbox:`"
            ) from error
        ours = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if (isinstance(error, OSError) and not ours) or module in ("botocore", "aiobotocore", "aiohttp", "google", "gcsfs"):
            raise NetworkError(
                "the bucket gives no answer that can be used", where=where, value=_shown(error), next_step="run again later"
            ) from error
        raise


def _shown(error: BaseException) -> str:
    """The store's own words, without what a URL may carry."""
    return _PARTS_NOT_SHOWN.sub("", " ".join((str(error) or type(error).__name__).split()))
