"""`ipfilter(ip, network)`: whether an IP address lies in a network."""

from __future__ import annotations

import ipaddress
import re

from etl.mapping.conversions import Value, single_text
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import guarded

_PREFIX = re.compile(r"[0-9]{1,9}")


def _ipfilter(ip: Value, network: Value) -> bool | None:
    address, (base, _, length) = _address(guarded(single_text, ip) or ""), (guarded(single_text, network) or "").partition("/")
    start = _address(base)
    if address is None or start is None or not _PREFIX.fullmatch(length) or int(length) > start.max_prefixlen:
        return None
    found = ipaddress.ip_network((start, int(length)), strict=False)
    return _unmapped(address) in _unmapped_network(found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """`::ffff:192.0.2.1` is 192.0.2.1."""
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _unmapped_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    base = _unmapped(network.network_address)
    return ipaddress.IPv4Network((base, network.prefixlen - 96)) if base != network.network_address else network


FUNCTION = Function(
    name="ipfilter",
    signature="ipfilter(ip, network)",
    summary="Whether an IP address lies in a network like 192.0.2.0/24 or 2001:db8::/32. Missing where one of them cannot be read.",
    group="web",
    least=2,
    most=2,
    gives="bool",
    kernel=_ipfilter,
    parses=True,
    examples=(
        Example('ipfilter(ip, "192.168.1.0/24")', {"ip": "192.168.1.17"}, True),
        Example('ipfilter(ip, "192.168.1.0/24")', {"ip": "192.168.2.17"}, False),
        Example('ipfilter(ip, "2001:db8::/32")', {"ip": "2001:db8::1"}, True),
        Example('ipfilter(ip, "192.168.1.0/24")', {"ip": "192.168.1"}, "missing"),
        Example('ipfilter(ip, "192.168.1.0/24")', {}, "missing"),
    ),
)
