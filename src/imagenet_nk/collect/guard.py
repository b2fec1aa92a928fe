"""Which addresses the web may lead us to: not into the machine, not into the network it stands in."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

WEB_PORTS = frozenset({80, 443})
_UNPRINTED = re.compile(r"[\x00-\x20\x7f]")
_KNOWN = 8192  # addresses whose parts are remembered: each one is asked about several times, and parsing is slow

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # IPv4-compatible, RFC 4291 2.5.5.1: deprecated, still routed by some
_METADATA = {  # where clouds hand out credentials
    ipaddress.ip_address("169.254.169.254"),
    ipaddress.ip_address("100.100.100.200"),
    ipaddress.ip_address("fd00:ec2::254"),
}
_NEVER = ("metadata service", "multicast", "unspecified", "reserved")


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why no connection may be made to an IP address; None if it may.

    `allow_private` lets private, loopback and link-local addresses through; a cloud's metadata service, multicast and
    reserved addresses stay refused. An IPv6 address that stands for an IPv4 one (mapped, compatible, 6to4, NAT64,
    Teredo) is judged by both.
    """
    try:
        outer = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return f"{address!r} is no IP address"
    for ip in (outer, *_embedded(outer)):
        kind = _kind(ip)
        if kind and not (allow_private and kind not in _NEVER):
            return f"{address} is a {kind} address"
    return None


def _embedded(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _kind(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if ip in _METADATA:
        return "metadata service"
    if ip.is_unspecified:
        return "unspecified"
    if ip.is_multicast:
        return "multicast"
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in _NAT64):
        return ""  # judged by the IPv4 address inside
    if ip.is_reserved and not (isinstance(ip, ipaddress.IPv6Address) and ip in _COMPATIBLE):
        return "reserved"
    return "" if ip.is_global else "private"


class Address(NamedTuple):
    """What a URL says of itself."""

    refusal: str | None  # why it may not be asked for
    host_key: str = ""  # host:port
    port: int = 0


@lru_cache(_KNOWN)
def parsed(url: str) -> Address:
    """A URL's parts, once: splitting it is slow, and it is asked about again and again."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises for a port that is no number
    except ValueError as error:
        return Address(f"it is malformed: {error}")
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in ("http", "https"):
        return Address(f"its scheme is {parts.scheme!r}, not http or https")
    if not host:
        return Address("it names no host")
    port = port or (443 if scheme == "https" else 80)
    if "@" in parts.netloc:
        return Address("it carries credentials")
    if _UNPRINTED.search(url):
        return Address("it contains blanks or control characters")
    return Address(None, f"{host.lower()}:{port}", port)


def url_refusal(url: str) -> str | None:
    """Why this URL may not be asked for, whatever its host resolves to; None if it may."""
    return parsed(url).refusal


def host_key(url: str) -> str:
    """host:port of a URL that has passed url_refusal: the unit of per-host limits."""
    return parsed(url).host_key
