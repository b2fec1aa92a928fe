"""A requests session that talks http and https to allowed addresses only, redirects included."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import quote, urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net.http import MAX_REDIRECTS
from imagenet_nk.net.url_guard import WEB_PORTS, block_reason, parse_url

_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"
CONNECT_TIMEOUT_S = 4.0  # TCP repeats a lost SYN after 1 s and 3 s (RFC 6298); a live host has answered by then


class BlockedAddressError(OSError):
    """A host name resolves to a blocked address; requests wraps this error in its own ConnectionError."""


class _GuardedConnection:
    """Mixin of urllib3's connections: connects only to addresses that were checked, and checks that of the peer."""

    allow_private = False
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        host: str = self._dns_host
        found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)  # type: ignore[attr-defined]
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for address in addresses:
            self._check(address)
        try:
            return self._connect(addresses)
        finally:
            self._dns_host = host  # the name that TLS verifies

    def _connect(self, addresses: list[str]) -> socket.socket:
        """Connect to one of the addresses that were checked: the name is not resolved again, to another one."""
        for address in addresses:
            self._dns_host = address
            try:
                connected: socket.socket = super()._new_conn()  # type: ignore[misc]
            except (NewConnectionError, ConnectTimeoutError):
                if address == addresses[-1]:
                    raise
            else:
                self._check(connected.getpeername()[0])
                return connected
        raise BlockedAddressError("the host name has no address")

    def _check(self, address: str) -> None:
        if reason := block_reason(address, allow_private=self.allow_private):
            helps = block_reason(address, allow_private=True) is None
            hint = "; http.allow_private=true allows private addresses" if helps else ""
            raise BlockedAddressError(reason + hint)


class _Http(_GuardedConnection, HTTPConnection):
    pass


class _Https(_GuardedConnection, HTTPSConnection):
    pass


def _pool_classes(allow_private: bool) -> dict[str, type]:
    http = type("Http", (_Http,), {"allow_private": allow_private})
    https = type("Https", (_Https,), {"allow_private": allow_private})
    return {
        "http": type("HttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("HttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
    }


class _Adapter(HTTPAdapter):
    def __init__(self, allow_private: bool, connections: int) -> None:
        self.allow_private = allow_private
        super().__init__(pool_connections=connections, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self.allow_private)


class _Session(requests.Session):
    """Follows redirects to the ports of the web and to that of the host that redirects, as images are fetched."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        try:
            target = super().get_redirect_target(resp)
            reason = _redirect_block_reason(resp.url, target) if target else None
        except ValueError as error:  # no text, or no address
            target, reason = None, f"it is malformed: {error}"
        if reason:
            resp.close()
            raise requests.exceptions.InvalidURL(f"a redirect is not allowed: {reason}")
        return target


def _redirect_block_reason(url: str, target: str) -> str | None:
    there = parse_url(quote(urljoin(url, target), safe=_URL_SAFE))
    if there.block_reason or there.port in WEB_PORTS or there.port == parse_url(url).port:
        return there.block_reason
    return f"port {there.port} is neither 80 nor 443"


def open_session(http: HttpConfig, connections: int = 1) -> requests.Session:
    """A session for `connections` threads; other schemes than http and https raise requests' InvalidSchema.

    Behind a proxy of the environment the proxy resolves names and connects, so it has to block addresses as well.
    """
    made = _Session()
    made.adapters.clear()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(http.allow_private, connections))
    made.headers["User-Agent"] = http.user_agent.format(contact=http.contact)
    made.headers["Accept-Encoding"] = "identity"  # bytes as they are stored: ranges and sizes mean nothing otherwise
    made.max_redirects = MAX_REDIRECTS
    return made
