"""Many GETs in flight through libcurl's multi interface, each within its deadline, size and address limits.

The multi_socket form with a selector of our own: the cost of a step does not grow with the number of open transfers,
and worker threads can wake the loop.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

import certifi
import pycurl

from imagenet_nk.collect import answers, guard
from imagenet_nk.config import HttpConfig
from imagenet_nk.wire import Request, Response

_DISALLOW_USERNAME_IN_URL = 278  # CURLOPT_..., for which pycurl has no name; a redirect could bring one
_DNS_CACHE_S = 600
_LOOK_EVERY_S = 0.1
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"  # what quote() leaves alone, so that an escaped URL stays as it is


class Transport(Protocol):
    """Carries requests. `ticket` comes back with the response and means nothing to the transport."""

    def submit(self, request: Request, ticket: Hashable) -> None:
        """Start a request; its response comes out of poll(), whatever happens to it."""

    def poll(self, timeout: float) -> list[tuple[Hashable, Response]]:
        """Responses that have ended, after at most `timeout` seconds of waiting for the first one or a wake()."""

    def wake(self) -> None:
        """Make a poll() that waits return; may be called from any thread."""

    def close(self) -> None:
        """Drop what is in flight."""


class CurlTransport:
    """Transport over pycurl. Addresses are checked where they are connected to, so redirects and rebinding are seen."""

    def __init__(self, http: HttpConfig, hosts_allowed: frozenset[str] = frozenset()) -> None:
        """`hosts_allowed`: host:port of servers of our own, which the guard lets through."""
        self._http = http
        self._hosts_allowed = hosts_allowed
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, http.per_host)
        self._multi.setopt(pycurl.M_MAXCONNECTS, http.concurrency)
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._woken = False
        self._timer: float | None = None
        self._clock = _LivedTime()
        self._looked = 0.0  # for stalled transfers
        self._active: set[_Transfer] = set()
        self._idle: list[_Transfer] = []
        self._done: list[tuple[Hashable, Response]] = []

    def submit(self, request: Request, ticket: Hashable) -> None:
        if refused := guard.url_refusal(request.url):
            self._done.append((ticket, Response(0, fault="bad_url", headers={"refusal": refused})))
            return
        transfer = self._idle.pop() if self._idle else _Transfer(self._http, self._hosts_allowed)
        transfer.start(request, ticket, self._clock.now)
        self._active.add(transfer)
        self._multi.add_handle(transfer.curl)

    def poll(self, timeout: float) -> list[tuple[Hashable, Response]]:
        timeout = 0 if self._done else min(timeout, _LOOK_EVERY_S)
        if self._timer is not None:
            timeout = min(timeout, max(0.0, self._timer - time.monotonic()))
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._wake_read:
                with suppress(BlockingIOError):
                    self._wake_read.recv(64)
                self._woken = False
            else:
                bits = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                    pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
                )
                self._multi.socket_action(key.fd, bits)
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        self._drop_stalled(self._clock.tick())
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        if not self._woken:  # one byte does until it is read: a call of the system for each would cost more
            self._woken = True
            with suppress(BlockingIOError):
                self._wake_write.send(b"\0")

    def close(self) -> None:
        for transfer in self._active:
            self._multi.remove_handle(transfer.curl)
        for transfer in [*self._active, *self._idle]:
            transfer.curl.close()
        self._active.clear()
        self._idle.clear()
        self._multi.close()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _collect(self) -> None:
        queued = 1
        while queued:
            queued, succeeded, failed = self._multi.info_read()
            for curl, code in [(curl, 0) for curl in succeeded] + [(curl, code) for curl, code, _ in failed]:
                self._end(curl.transfer, code)

    def _end(self, transfer: _Transfer, code: int) -> None:
        self._multi.remove_handle(transfer.curl)
        self._active.discard(transfer)
        self._done.append((transfer.ticket, transfer.finish(code)))
        self._idle.append(transfer)

    def _drop_stalled(self, now: float) -> None:
        """End what has come to a stop. libcurl's own low-speed limit takes up to twice its time to notice."""
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        for transfer in [transfer for transfer in self._active if transfer.stalled(now)]:
            self._end(transfer, pycurl.E_OPERATION_TIMEDOUT)

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000

    def _on_socket(self, what: int, fd: int, multi: object, data: object) -> None:  # noqa: ARG002
        with suppress(KeyError, ValueError, OSError):  # libcurl may speak of a descriptor that is closed by now
            if what == pycurl.POLL_REMOVE:
                self._selector.unregister(fd)
                return
            events = (selectors.EVENT_READ if what & pycurl.POLL_IN else 0) | (
                selectors.EVENT_WRITE if what & pycurl.POLL_OUT else 0
            )
            if fd in self._selector.get_map():
                self._selector.modify(fd, events)
            else:
                self._selector.register(fd, events)


class _Lent(socket.socket):
    """A socket for libcurl: pycurl duplicates its descriptor, and this original is closed when it is dropped."""

    def __del__(self) -> None:
        self.close()


class _LivedTime:
    """Seconds that the loop has lived through. While it is not run (a busy machine, a laptop asleep) no server is late:
    what it has sent may long be waiting here."""

    def __init__(self) -> None:
        self.now = 0.0
        self._last = time.monotonic()

    def tick(self) -> float:
        """Move on by what has passed since the last tick, a long gap counting as a short one."""
        now = time.monotonic()
        self.now += min(now - self._last, 2 * _LOOK_EVERY_S)
        self._last = now
        return self.now


class _Transfer:
    """One easy handle, used again and again: a fresh one costs more than the request."""

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
        self._chunks: list[bytes] = []
        self._counted = self._bytes = 0  # chunks, and the bytes in them
        self._headers: list[bytes] = []
        self._stopped = ""
        self._patience = request.patience or self._http.stall
        self._started = now
        self._window = (now, 0)  # when it began, with how many bytes
        _, host, self._port = guard.parsed(request.url)
        self._own = host in self._hosts_allowed
        self._url = quote(request.url, safe=_URL_SAFE, errors="surrogatepass")
        self.curl.setopt(pycurl.URL, self._url)
        # Many times called for a body; a method of our own would cost more than all else that is done with it.
        self.curl.setopt(pycurl.HEADERFUNCTION, self._headers.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._chunks.append)
        self.curl.setopt(pycurl.MAXFILESIZE_LARGE, self._limit)  # on what is announced, and on what comes
        if request.first is None:
            self.curl.unsetopt(pycurl.RANGE)
        else:
            self.curl.setopt(pycurl.RANGE, f"{request.first}-{'' if request.last is None else request.last}")

    @property
    def size(self) -> int:
        """Bytes of body that have come."""
        while self._counted < len(self._chunks):
            self._bytes += len(self._chunks[self._counted])
            self._counted += 1
        return self._bytes

    def stalled(self, now: float) -> bool:
        """Whether it is past its deadline, no byte has come for too long, or too few have of late."""
        began, size = self._window
        if now - self._started >= self._http.deadline:
            return True
        if not self._headers:
            return now - began >= self._patience
        if now - began < self._http.stall:
            return False
        self._window = (now, self.size)
        return self.size - size < self._http.min_speed * self._http.stall

    def finish(self, code: int) -> Response:
        status, final_url = self.curl.getinfo(pycurl.RESPONSE_CODE), ""
        with suppress(pycurl.error):  # there is none if libcurl rejects the address that was asked for
            final_url = answers.text(self.curl.getinfo_raw(pycurl.EFFECTIVE_URL))
        chunks, self._chunks = self._chunks, []
        self.curl.setopt(pycurl.WRITEFUNCTION, _nothing)  # an idle handle holds no body
        fault = answers.fault(code, status, len(chunks), self._stopped)
        if not fault and final_url != self._url and guard.url_refusal(final_url):
            fault = "forbidden"
        return Response(
            status=status,
            body=b"" if fault else b"".join(chunks),
            final_url=final_url,
            address=self.curl.getinfo(pycurl.PRIMARY_IP) or "",
            headers=answers.last_headers(self._headers),
            fault=fault,
            seconds=(total := self.curl.getinfo(pycurl.TOTAL_TIME)),
            body_seconds=total - self.curl.getinfo(pycurl.STARTTRANSFER_TIME),
        )

    def _open_socket(self, purpose: int, address: Any) -> socket.socket | int:  # noqa: ARG002
        family, kind, protocol, (host, port, *_) = address
        host = host.decode() if isinstance(host, bytes) else host
        if self._own and port == self._port:
            allowed = True
        else:
            allowed = port in guard.WEB_PORTS or port == self._port
            allowed = allowed and guard.refusal(host, allow_private=self._http.allow_private) is None
        if not allowed:
            self._stopped = "forbidden"
            return int(pycurl.SOCKET_BAD)
        return _Lent(family, kind, protocol)


def _nothing(chunk: bytes) -> None:
    """Takes what nobody waits for."""


def _options(http: HttpConfig, open_socket: Callable[[int, Any], socket.socket | int]) -> dict[int, Any]:
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    return {
        _DISALLOW_USERNAME_IN_URL: 1,
        pycurl.PROTOCOLS: web,
        pycurl.REDIR_PROTOCOLS: web,
        pycurl.FOLLOWLOCATION: 1,
        pycurl.MAXREDIRS: http.max_redirects,
        pycurl.PROXY: "",  # not from the environment: a proxy would hide the address that the guard must see
        pycurl.NOSIGNAL: 1,
        pycurl.OPENSOCKETFUNCTION: open_socket,
        pycurl.BUFFERSIZE: 256 * 1024,
        pycurl.CONNECTTIMEOUT_MS: int(http.deadline * 10_000),  # the limits that count are those of stalled()
        pycurl.DNS_CACHE_TIMEOUT: _DNS_CACHE_S,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.PIPEWAIT: 1,  # rather a stream on a connection that may turn out HTTP/2 than one more handshake
        pycurl.USERAGENT: http.user_agent.format(contact=http.contact),
        pycurl.HTTPHEADER: ["Accept: image/*,*/*;q=0.5"],  # no Accept-Encoding: images gain nothing from gzip
        pycurl.SSL_VERIFYPEER: int(http.verify_tls),
        pycurl.SSL_VERIFYHOST: 2 if http.verify_tls else 0,
        pycurl.CAINFO: os.environ.get("SSL_CERT_FILE") or certifi.where(),
    }
