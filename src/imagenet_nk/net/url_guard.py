"""Address guard: which URLs and IP addresses may be requested; none of this machine or its private network."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

WEB_PORTS = frozenset({80, 443})
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_CACHED_URLS = 8192  # each URL is checked several times, and parsing is slow

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

# From the special-purpose registries (https://www.iana.org/assignments/iana-ipv4-special-registry and
# .../iana-ipv6-special-registry): the tables of ipaddress differ between Python versions. The first match counts.
_IPV4 = [
    (ipaddress.IPv4Network(network), kind)
    for kind, networks in {
        "unspecified": "0.0.0.0/32",
        "loopback": "127.0.0.0/8",
        "link-local": "169.254.0.0/16",
        "multicast": "224.0.0.0/4",
        "reserved": "240.0.0.0/4",
        "private": "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 "
        "192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24",
    }.items()
    for network in networks.split()
]
_IPV6 = [
    (ipaddress.IPv6Network(network), kind)
    for kind, networks in {
        "unspecified": "::/128",
        "loopback": "::1/128",
        "link-local": "fe80::/10",
        "multicast": "ff00::/8",
        "": "::/96 ::ffff:0:0/96 64:ff9b::/96 2001::/32 2002::/16",  # decided by the IPv4 address inside
        "private": "2001::/23 2001:db8::/32 3fff::/20 fc00::/7 fec0::/10",
    }.items()
    for network in networks.split()
]
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all allocated global unicast addresses (RFC 4291, 2.4)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # IPv4-compatible, RFC 4291 2.5.5.1: deprecated, still routed by some
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}  # how an interface id begins that ends in an IPv4 address (RFC 5214, 6.1)
_METADATA = {  # metadata services of clouds, which hand out credentials
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),  # most; Amazon and Google over IPv6
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # Amazon's containers
        *("168.63.129.16", "192.0.0.192", "100.100.100.200"),  # Azure, Oracle, Alibaba
        *("169.254.0.23", "169.254.42.42", "fd00:42::42"),  # Tencent, Scaleway
    )
}
PRIVATE = frozenset({"private", "loopback", "link-local"})  # kinds that http.allow_private allows


def block_reason(address: str, *, allow_private: bool) -> str | None:
    """Why no connection may be made to an IP address; None if it may.

    `allow_private` allows private, loopback and link-local addresses; metadata services of clouds, multicast and
    reserved addresses stay blocked. An IPv6 address that embeds an IPv4 one (mapped, compatible, 6to4, NAT64, Teredo,
    ISATAP) must pass with both.
    """
    try:
        kind = blocked_kind(address, allow_private=allow_private)
    except ValueError:
        return f"{address!r} is no IP address"
    return f"{address} is a {kind} address" if kind else None


def blocked_kind(address: str, *, allow_private: bool) -> str:
    """The kind of a blocked address, such as "loopback"; "" if it is allowed. Raises ValueError if it is no address."""
    outer = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    kinds = [kind for ip in (outer, *_embedded(outer)) if (kind := _kind(ip))]
    never = [kind for kind in kinds if kind not in PRIVATE]
    return next(iter(never if allow_private else never + kinds), "")


def _embedded(ip: _IP) -> list[ipaddress.IPv4Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    addresses = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    isatap = int(ip) >> 32 & 0xFFFFFFFF in _ISATAP
    if isatap or ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        addresses.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [inner for inner in addresses if inner is not None]


def _kind(ip: _IP) -> str:
    """Kind of an address, regardless of one that it embeds; "" for a public one."""
    if ip in _METADATA:
        return "metadata service"
    for network, kind in _IPV4 if isinstance(ip, ipaddress.IPv4Address) else _IPV6:
        if ip in network:
            return kind
    return "" if isinstance(ip, ipaddress.IPv4Address) or ip in _UNICAST else "reserved"


class ParsedUrl(NamedTuple):
    """Parts of a URL."""

    block_reason: str | None  # why it may not be requested
    host_key: str = ""  # host:port
    port: int = 0


@lru_cache(_CACHED_URLS)
def parse_url(url: str) -> ParsedUrl:
    """The parts of a URL, cached."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises for a port that is no number
    except ValueError as error:
        return ParsedUrl(f"it is malformed: {error}")
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in ("http", "https"):
        return ParsedUrl(f"its scheme is {parts.scheme!r}, not http or https")
    if not host:
        return ParsedUrl("it names no host")
    port = port or (443 if scheme == "https" else 80)
    if "@" in parts.netloc:
        return ParsedUrl("it carries credentials")
    if _BLANK_OR_CONTROL.search(url):
        return ParsedUrl("it contains blanks or control characters")
    return ParsedUrl(None, f"{host.lower()}:{port}", port)


def url_block_reason(url: str) -> str | None:
    """Why this URL may not be requested, whatever its host resolves to; None if it may."""
    return parse_url(url).block_reason


def host_key(url: str) -> str:
    """host:port of a URL that has no url_block_reason(): the unit of per-host limits."""
    return parse_url(url).host_key
