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

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

# From the special-purpose registries (https://www.iana.org/assignments/iana-ipv4-special-registry and
# .../iana-ipv6-special-registry): the tables of ipaddress differ from one Python to the next. First match counts.
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
        "": "::/96 ::ffff:0:0/96 64:ff9b::/96 2001::/32 2002::/16",  # judged by the IPv4 address inside
        "private": "2001::/23 2001:db8::/32 3fff::/20 fc00::/7 fec0::/10",
    }.items()
    for network in networks.split()
]
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given out to the world (RFC 4291, 2.4); the rest waits
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # IPv4-compatible, RFC 4291 2.5.5.1: deprecated, still routed by some
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}  # how an interface id begins that ends in an IPv4 address (RFC 5214, 6.1)
_METADATA = {  # where clouds hand out credentials
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),  # most; Amazon and Google over IPv6
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # Amazon's containers
        *("168.63.129.16", "192.0.0.192", "100.100.100.200"),  # Azure, Oracle, Alibaba
        *("169.254.0.23", "169.254.42.42", "fd00:42::42"),  # Tencent, Scaleway
    )
}
PRIVATE = frozenset({"private", "loopback", "link-local"})  # kinds that http.allow_private lets through


def block_reason(address: str, *, allow_private: bool) -> str | None:
    """Why no connection may be made to an IP address; None if it may.

    `allow_private` lets private, loopback and link-local addresses through; a cloud's metadata service, multicast and
    reserved addresses stay refused. An IPv6 address that stands for an IPv4 one (mapped, compatible, 6to4, NAT64,
    Teredo, ISATAP) is judged by both.
    """
    try:
        kind = blocked_kind(address, allow_private=allow_private)
    except ValueError:
        return f"{address!r} is no IP address"
    return f"{address} is a {kind} address" if kind else None


def blocked_kind(address: str, *, allow_private: bool) -> str:
    """The same in one word or two: one of PRIVATE, or what is never let through; "" if it may. Raises ValueError."""
    outer = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    kinds = [kind for ip in (outer, *_embedded(outer)) if (kind := _kind(ip))]
    never = [kind for kind in kinds if kind not in PRIVATE]
    return next(iter(never if allow_private else never + kinds), "")


def _embedded(ip: _IP) -> list[ipaddress.IPv4Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    isatap = int(ip) >> 32 & 0xFFFFFFFF in _ISATAP
    if isatap or ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _kind(ip: _IP) -> str:
    """What an address is, whatever it may hold inside; "" for one of the open web."""
    if ip in _METADATA:
        return "metadata service"
    for network, kind in _IPV4 if isinstance(ip, ipaddress.IPv4Address) else _IPV6:
        if ip in network:
            return kind
    return "" if isinstance(ip, ipaddress.IPv4Address) or ip in _UNICAST else "reserved"


class ParsedUrl(NamedTuple):
    """What a URL says of itself."""

    block_reason: str | None  # why it may not be asked for
    host_key: str = ""  # host:port
    port: int = 0


@lru_cache(_KNOWN)
def parse_url(url: str) -> ParsedUrl:
    """A URL's parts, once: splitting it is slow, and it is asked about again and again."""
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
    if _UNPRINTED.search(url):
        return ParsedUrl("it contains blanks or control characters")
    return ParsedUrl(None, f"{host.lower()}:{port}", port)


def url_block_reason(url: str) -> str | None:
    """Why this URL may not be asked for, whatever its host resolves to; None if it may."""
    return parse_url(url).block_reason


def host_key(url: str) -> str:
    """host:port of a URL that has passed url_refusal: the unit of per-host limits."""
    return parse_url(url).host_key
