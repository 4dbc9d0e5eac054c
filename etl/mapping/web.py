"""Web addresses, read as the engine of lql.md reads them: lenient on what a path or host may be, strict on escapes.

An address is `scheme://user@host:port/path?query#fragment`; without a scheme all of it is a path. Python's own reader
refuses other texts (it takes wrong escapes and ports, and any brackets), so the grammar is written out here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from etl.mapping.conversions import Value, single_text
from etl.mapping.web_text import form_unescaped, guarded, lowered, shown, unescaped, utf8

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_USER = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_HOST_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:\[\]<>\"-]|[^\x00-\x7f]"
# Only what is not ASCII may be escaped in a host, and the percent sign itself.
_HOST = re.compile(rf"(?:{_HOST_CHARACTER}|%25|%[89A-Fa-f][0-9A-Fa-f])*")
_ZONE = re.compile(rf"(?:{_HOST_CHARACTER}|%[0-9A-Fa-f]{{2}})*")
_BRACKETED = re.compile(r"\[([^\[]*)\]((?::[0-9]*)?)", re.DOTALL)
_PORT = re.compile(r":[0-9]*")


@dataclass(frozen=True)
class Address:
    """`scheme` is lower case, `host` keeps its port, `path` is unescaped, `query` is as written."""

    scheme: str
    host: str
    path: str
    query: str


def read_address(text: str) -> Address | None:
    """The parts of an address; None where it cannot be one."""
    whole, _, fragment = text.partition("#")
    if _CONTROL.search(whole) or whole.startswith(":") or unescaped(fragment) is None:
        return None
    found = _SCHEME.match(whole)
    scheme = found[1].lower() if found else ""
    rest, _, query = whole[found.end() if found else 0 :].partition("?")
    if not rest.startswith("/"):
        if scheme:  # `mailto:x`: neither host nor path
            return Address(scheme, "", "", query)
        if ":" in rest.partition("/")[0]:
            return None
    host: str | None = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, after = rest[2:].partition("/")
        host, rest = _read_authority(authority, scheme), slash + after
    path = unescaped(rest)
    return None if host is None or path is None else Address(scheme, host, path, query)


def _read_authority(text: str, scheme: str) -> str | None:
    user, _, host = text.rpartition("@")
    if not _USER.fullmatch(user) or unescaped(user) is None:
        return None
    if "[" in host:
        return _read_bracketed(host)
    colons = host.partition(":") if scheme in ("http", "https") else host.rpartition(":")
    if colons[1] and not _PORT.fullmatch(":" + colons[2]):
        return None
    return unescaped(host) if _HOST.fullmatch(host) else None


def _read_bracketed(text: str) -> str | None:
    """`[::1]:80`, `[fe80::1%25eth0]`: only IPv6 addresses stand in brackets."""
    found = _BRACKETED.fullmatch(text)
    if not found:
        return None
    number, percent, zone = found[1].partition("%25")
    if not _HOST.fullmatch(number) or not _ZONE.fullmatch(zone) or bool(percent) != bool(zone):
        return None
    # A zone may be escaped, but not to say more than could be written plainly; blanks are the exception.
    plain = unescaped(zone)
    if plain is None or not re.fullmatch(rf"(?:{_HOST_CHARACTER}|[ %])*", plain) or ip_version(number) != 6:
        return None
    return f"[{number}{'%' if percent else ''}{plain}]{found[2]}"


def ip_version(text: str) -> int | None:
    """4 or 6; None for what is no IP address."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return None


def with_scheme(text: str) -> str:
    """`http://` set before what does not start with `http`, as for hosts and domains."""
    return text if text.startswith("http") else f"http://{text}"


def with_likely_scheme(text: str) -> str:
    """`http://` set before `www.a.example/b`, but not before a path (`/a/b`) or what is too short to be an address."""
    start = utf8(text)
    return with_scheme(text) if len(start) > 6 and b"/" not in start[:5] else text


def parameters(query: str) -> dict[str, list[str]]:
    """The values of a query string by name, as `form_unescaped`. Pairs with a `;` or a wrong escape are left out."""
    found: dict[str, list[str]] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        plain_name, plain_value = form_unescaped(name), form_unescaped(value)
        if pair and ";" not in pair and plain_name is not None and plain_value is not None:
            found.setdefault(plain_name, []).append(plain_value)
    return found


def parameter(text: str, name: Value) -> str | None:
    """The first value of a parameter of an address; None where it is absent or empty."""
    wanted = guarded(single_text, name)
    address = read_address(with_likely_scheme(text)) if wanted else None
    first = parameters(address.query).get(wanted or "", [""])[0] if address else ""
    return shown(first) or None


def query_string(found: dict[str, list[str]]) -> str:
    """Parameters as a query string, sorted by name."""
    return "&".join(f"{_escaped(name)}={_escaped(value)}" for name in sorted(found) for value in found[name])


def _escaped(text: str) -> str:
    return quote_plus(text, errors="surrogateescape")


def registrable_domain(host: str) -> str | None:
    """`example.co.uk` of `www.example.co.uk:8080`, by the public suffix list; None for IP addresses and `localhost`."""
    name = re.sub(r":[0-9]*\Z", "", host)
    if not all(name.split(".")) or name.startswith("[") or ip_version(name):
        return None
    return _suffixes().privatesuffix(name)


@cache
def _suffixes() -> PublicSuffixList:
    """The list that lies in the package, its private section too; nothing is ever downloaded."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def host_of(text: str) -> str | None:
    """The host of an address, lower case and with its port; empty where there is none."""
    address = read_address(with_scheme(lowered(text)))
    return None if address is None else address.host
