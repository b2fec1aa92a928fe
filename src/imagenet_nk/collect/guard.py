"""Which addresses may be talked to: what an address list or a redirect names is hostile until it has passed here."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 forms that carry an IPv4 address: the carried one is what counts. Besides the mapped, 6to4 and Teredo forms that
# the standard library unpacks: NAT64 (RFC 6052) and the deprecated compatible form (RFC 4291, 2.5.5.1).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
# Private by use though not by the standard library's tables: carrier-grade NAT (RFC 6598), site-local (RFC 3879),
# and the address at which several clouds serve credentials beside 169.254.169.254.
_PRIVATE = [ipaddress.ip_network(net) for net in ("100.64.0.0/10", "fec0::/10", "192.0.0.0/24", "168.63.129.16/32")]

WEB_PORTS = frozenset({80, 443})


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why this IP address (text form) may not be talked to; None if it may."""
    try:
        ip = _carried(ipaddress.ip_address(address.split("%")[0]))
    except ValueError:
        return f"{address!r} is no IP address"
    if allow_private and not (ip.is_multicast or ip.is_unspecified):
        return None
    for kind in ("loopback", "link_local", "multicast", "unspecified", "private", "reserved"):
        if getattr(ip, f"is_{kind}"):
            return f"{address} is a {kind.replace('_', '-')} address"
    if not ip.is_global or any(ip.version == net.version and ip in net for net in _PRIVATE):
        return f"{address} is not a public address"
    return None


def _carried(ip: _IPAddress) -> _IPAddress:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped or ip.sixtofour:
        return ip.ipv4_mapped or ip.sixtofour or ip
    if ip.teredo:
        return ip.teredo[1]
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def url_refusal(url: str) -> str | None:
    """Why this URL may not be asked for, whatever its host resolves to; None if it may."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        return f"it is malformed: {error}"
    if parts.scheme.lower() not in ("http", "https"):
        return f"its scheme is {parts.scheme!r}, not http or https"
    if not parts.hostname:
        return "it names no host"
    if parts.username is not None or parts.password is not None:
        return "it carries credentials"
    if any(ord(char) <= 32 or ord(char) == 127 for char in url):
        return "it contains blanks or control characters"
    return None


def host_key(url: str) -> str:
    """host:port of a URL that has passed url_refusal: the unit of per-host limits."""
    parts = urlsplit(url)
    return f"{(parts.hostname or '').lower()}:{port(url)}"


def port(url: str) -> int:
    """The port that a URL means."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme.lower() == "https" else 80)
