"""A requests session that talks http and https to allowed addresses only, redirects included."""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net.http import MAX_REDIRECTS
from imagenet_nk.net.url_guard import block_reason

CONNECT_TIMEOUT_S = 4.0  # TCP repeats a lost SYN after 1 s and 3 s (RFC 6298); a live host has answered by then


class BlockedAddressError(OSError):
    """A host name resolves to a blocked address; requests wraps this error in its own ConnectionError."""


class _GuardedConnection:
    """Mixin of urllib3's connections: checks addresses before connecting, and the address of the peer."""

    allow_private = False

    def _new_conn(self) -> socket.socket:
        host: str = self._dns_host  # type: ignore[attr-defined]
        for *_, address in socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM):  # type: ignore[attr-defined]
            self._check(str(address[0]))
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._check(connected.getpeername()[0])
        return connected

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


def open_session(http: HttpConfig, connections: int = 1) -> requests.Session:
    """A session for `connections` threads; other schemes than http and https raise requests' InvalidSchema.

    Behind a proxy of the environment the proxy resolves names and connects, so it has to block addresses as well.
    """
    made = requests.Session()
    made.adapters.clear()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(http.allow_private, connections))
    made.headers["User-Agent"] = http.user_agent.format(contact=http.contact)
    made.headers["Accept-Encoding"] = "identity"  # bytes as they are stored: ranges and sizes mean nothing otherwise
    made.max_redirects = MAX_REDIRECTS
    return made
