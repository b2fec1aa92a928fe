"""One GET through libcurl: options, timeouts and the response."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import certifi
import pycurl

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import DatasetError
from imagenet_nk.net import url_guard
from imagenet_nk.net.http import MAX_REDIRECTS, Request, Response
from imagenet_nk.net.transfer_timeouts import TransferTimeout
from imagenet_nk.reasons import Reason

# libcurl's error codes as rejection reasons (https://curl.se/libcurl/c/libcurl-errors.html).
_FAULTS = {
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.FORBIDDEN,  # a redirect to file://, ftp://, ...
    pycurl.E_URL_MALFORMAT: Reason.BAD_URL,
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.NO_DNS,
    pycurl.E_COULDNT_CONNECT: Reason.REFUSED,
    pycurl.E_PARTIAL_FILE: Reason.TRUNCATED,
    pycurl.E_OPERATION_TIMEDOUT: Reason.TIMEOUT,
    pycurl.E_TOO_MANY_REDIRECTS: Reason.REDIRECTS,
    pycurl.E_GOT_NOTHING: Reason.RESET,
    pycurl.E_SEND_ERROR: Reason.RESET,
    pycurl.E_RECV_ERROR: Reason.RESET,
    pycurl.E_FILESIZE_EXCEEDED: Reason.TOO_MANY_BYTES,
    pycurl.E_LOGIN_DENIED: Reason.FORBIDDEN,  # a redirect to an address with credentials
    pycurl.E_SSL_CONNECT_ERROR: Reason.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Reason.TLS,
    pycurl.E_SSL_CERTPROBLEM: Reason.TLS,
    pycurl.E_SSL_CIPHER: Reason.TLS,
}
_DETAILS = {pycurl.E_UNSUPPORTED_PROTOCOL: "another scheme", pycurl.E_LOGIN_DENIED: "credentials"}
_ROBOTS = "x-robots-tag"
OTHER_FAULT = Reason.BAD_ANSWER  # malformed chunks or headers, and whatever else a broken server sends


def fault_of(code: int, status: int, size: int, stopped: str) -> str:
    """Why a transfer that ended with libcurl's `code` has no whole body; "" if it has.

    `status`: the last HTTP status that came, 0 for none; `size`: 0 if no body came;
    `stopped`: why a callback ended it.
    """
    fault = stopped or (_FAULTS.get(code, OTHER_FAULT) if code else "")
    if fault == Reason.TIMEOUT and size:
        return Reason.TOO_SLOW  # it answers, but too slowly: a retry would not help
    if code == pycurl.E_UNSUPPORTED_PROTOCOL and not status:
        return OTHER_FAULT  # not a redirect to another scheme, but a response that is not HTTP
    return fault


def forbidden_detail(code: int) -> str:
    """What was forbidden in a transfer that libcurl itself ended for that; "" if unknown."""
    return _DETAILS.get(code, "")


def to_text(raw: bytes | str) -> str:
    """Text of what libcurl gives as bytes or str."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw


def parse_headers(lines: list[bytes]) -> dict[str, str]:
    """Headers of the last answer: redirects and interim answers come before it. A repeated one is joined by commas.

    X-Robots-Tag is joined over all responses, redirects included.
    """
    headers: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            headers = {_ROBOTS: headers[_ROBOTS]} if _ROBOTS in headers else {}
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


BUFFER = 256 * 1024
_DISALLOW_USERNAME_IN_URL = 278  # CURLOPT_..., for which pycurl has no name; a redirect could bring one
_DNS_CACHE_S = 600
_MOST_HEADERS = 100_000  # bytes of them, over all redirects; libcurl itself ends at three times that
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"  # what quote() leaves alone, so that an escaped URL stays as it is


class BorrowedSocket(socket.socket):
    """A socket for libcurl: pycurl duplicates its descriptor, and this original is closed when it is dropped."""

    def __del__(self) -> None:
        if self.fileno() >= 0:  # else there was no descriptor for it
            self.close()


class Transfer:
    """One easy handle, reused, since creating one costs more than a request."""

    def __init__(self, http: HttpConfig, hosts_allowed: frozenset[str]) -> None:
        self._http = http
        self._hosts_allowed = hosts_allowed
        self.ticket: Hashable = None
        self.curl = pycurl.Curl()
        self.curl.transfer = self
        for option, value in _options(http, self._open_socket).items():
            self.curl.setopt(option, value)

    def start(self, request: Request, ticket: Hashable, now: float) -> None:
        self.ticket = ticket
        self._limit = request.max_bytes or self._http.max_bytes
        self._body = bytearray()  # one buffer: pieces of two bytes would take thirty times their size
        self._headers: list[bytes] = []
        self._stopped = ""  # why the guard blocked a connection
        self._no_socket: OSError | None = None  # this machine has none left; not a fault of the URL
        self._timeout = TransferTimeout(self._http, request.first_byte_timeout or self._http.first_byte_timeout, now)
        _, host, self._port = url_guard.parse_url(request.origin or request.url)
        self._own = host in self._hosts_allowed
        self._url = quote(request.url, safe=_URL_SAFE, errors="surrogatepass")
        self.curl.setopt(pycurl.URL, self._url)
        self.curl.setopt(pycurl.FOLLOWLOCATION, int(request.follow))
        # Many times called for a body; a method of our own would cost more than all else that is done with it.
        self.curl.setopt(pycurl.HEADERFUNCTION, self._headers.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._body.extend)
        self.curl.setopt(pycurl.MAXFILESIZE_LARGE, self._limit)  # on what is announced, and on what comes
        if request.first is None:
            self.curl.unsetopt(pycurl.RANGE)
        else:
            self.curl.setopt(pycurl.RANGE, f"{request.first}-{'' if request.last is None else request.last}")

    @property
    def size(self) -> int:
        """Bytes of body received so far."""
        return len(self._body)

    def has_timed_out(self, now: float) -> bool:
        """Whether it is past one of its timeouts, or sends headers without end."""
        return self._is_header_flood or self._timeout.has_expired(now, answered=bool(self._headers), size=self.size)

    @property
    def _is_header_flood(self) -> bool:
        """Whether headers come without end, before the body or as trailers behind it."""
        return sum(map(len, self._headers)) > _MOST_HEADERS

    def finish(self, code: int) -> Response:
        """The response. Raises DatasetError if this machine could not open a socket."""
        if self._no_socket:
            raise DatasetError(
                f"no connection can be opened here ({self._no_socket.strerror}): raise ulimit -n, or lower "
                "http.concurrency; then run it again"
            ) from self._no_socket
        status, final_url = self.curl.getinfo(pycurl.RESPONSE_CODE), ""
        with suppress(pycurl.error):  # there is none if libcurl rejects the address that was asked for
            final_url = to_text(self.curl.getinfo_raw(pycurl.EFFECTIVE_URL))
        stopped = Reason.FORBIDDEN if self._stopped else OTHER_FAULT if code and self._is_header_flood else ""
        body, self._body = self._body, bytearray()
        self.curl.setopt(pycurl.WRITEFUNCTION, _discard)  # an idle handle holds no body
        fault = fault_of(code, status, len(body), stopped)
        detail = (self._stopped or forbidden_detail(code)) if fault == Reason.FORBIDDEN else ""
        if not fault and final_url != self._url and (refused := url_guard.url_block_reason(final_url)):
            fault, detail = Reason.FORBIDDEN, refused
        return Response(
            status=status,
            body=b"" if fault else bytes(body),
            final_url=final_url,
            address=self.curl.getinfo(pycurl.PRIMARY_IP) or "",
            headers=parse_headers(self._headers),
            fault=fault,
            seconds=(total := self.curl.getinfo(pycurl.TOTAL_TIME)),
            body_seconds=total - self.curl.getinfo(pycurl.STARTTRANSFER_TIME),
            detail=detail,
        )

    def _open_socket(self, purpose: int, address: Any) -> socket.socket | int:  # noqa: ARG002
        family, kind, protocol, (host, port, *_) = address
        host = host.decode() if isinstance(host, bytes) else host
        if refused := self._refused(host, port):
            self._stopped = refused
            return int(pycurl.SOCKET_BAD)
        try:
            return BorrowedSocket(family, kind, protocol)
        except OSError as error:
            if error.errno in _SCARCE:
                self._no_socket = error
            return int(pycurl.SOCKET_BAD)

    def _refused(self, address: str, port: int) -> str:
        """Why a connection is not allowed, in a few words; "" if it is."""
        if self._own and f"{address}:{port}" in self._hosts_allowed:  # but not everything that it redirects to
            return ""
        if port not in url_guard.WEB_PORTS and port != self._port:
            return "another port"
        return url_guard.blocked_kind(address, allow_private=self._http.allow_private)


def _discard(chunk: bytes) -> None:
    """Ignore what arrives when no request waits for it."""


def _options(http: HttpConfig, open_socket: Callable[[int, Any], socket.socket | int]) -> dict[int, Any]:
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    return {
        _DISALLOW_USERNAME_IN_URL: 1,
        pycurl.PROTOCOLS: web,
        pycurl.REDIR_PROTOCOLS: web,
        pycurl.MAXREDIRS: MAX_REDIRECTS,
        pycurl.PROXY: "",  # not from the environment: a proxy would hide the address that the guard must see
        pycurl.NOSIGNAL: 1,
        pycurl.OPENSOCKETFUNCTION: open_socket,
        pycurl.BUFFERSIZE: BUFFER,
        pycurl.CONNECTTIMEOUT_MS: int(http.deadline * 10_000),  # the limits that count are those of has_timed_out()
        pycurl.DNS_CACHE_TIMEOUT: _DNS_CACHE_S,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.USERAGENT: http.user_agent.format(contact=http.contact),
        pycurl.HTTPHEADER: ["Accept: image/*,*/*;q=0.5"],  # no Accept-Encoding: images gain nothing from gzip
        pycurl.CAINFO: os.environ.get("SSL_CERT_FILE") or certifi.where(),
    }
