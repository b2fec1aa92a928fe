"""Many GETs in flight through libcurl's multi interface, each within its deadline, size and address limits.

The multi_socket form with a selector of our own: the cost of a step does not grow with the number of open transfers,
and worker threads can wake the loop.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Hashable
from contextlib import suppress

import pycurl

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net import url_guard
from imagenet_nk.net.congestion import connections_within_limit
from imagenet_nk.net.curl_transfer import Transfer
from imagenet_nk.net.http import MemoryBudget, Request, Response
from imagenet_nk.net.transfer_timeouts import CHECK_INTERVAL_S, LoopClock
from imagenet_nk.reasons import Reason

MAX_BUFFERED_BYTES = (
    128 * 2**20
)  # of bodies in memory of a run on one machine: four of the largest, or a thousand of usual size


class CurlTransport:
    """Transport over pycurl. Addresses are checked where they are connected to, so redirects and rebinding are seen."""

    def __init__(
        self, http: HttpConfig, hosts_allowed: frozenset[str] = frozenset(), max_buffered: int = MAX_BUFFERED_BYTES
    ) -> None:
        """`hosts_allowed`: address:port of servers of this program, which the guard allows; `max_buffered`: bytes."""
        self.memory = MemoryBudget(max_buffered)
        self._http = http
        self._hosts_allowed = hosts_allowed
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, http.per_host)
        connections = connections_within_limit(http.concurrency)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._woken = False
        self._timer: float | None = None
        self._clock = LoopClock()
        self._checked = 0.0  # when transfers were last checked for timeouts
        self._active: set[Transfer] = set()
        self._idle: list[Transfer] = []
        self._done: list[tuple[Hashable, Response]] = []

    def submit(self, request: Request, ticket: Hashable) -> None:
        if refused := url_guard.url_block_reason(request.url):
            self._done.append((ticket, Response(0, fault=Reason.BAD_URL, headers={"refusal": refused})))
            return
        transfer = self._idle.pop() if self._idle else Transfer(self._http, self._hosts_allowed)
        transfer.start(request, ticket, self._clock.now)
        self._active.add(transfer)
        self._multi.add_handle(transfer.curl)

    def poll(self, timeout: float) -> list[tuple[Hashable, Response]]:
        timeout = 0 if self._done else min(timeout, CHECK_INTERVAL_S)
        if self._timer is not None:
            timeout = min(timeout, max(0.0, self._timer - time.monotonic()))
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._wake_read:
                with suppress(BlockingIOError):
                    self._wake_read.recv(64)
                self._woken = False
                continue
            bits = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            )
            self._multi.socket_action(key.fd, bits)
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        self._check_transfers(self._clock.tick())
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        if not self._woken:  # one byte is enough until it is read
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

    def _end(self, transfer: Transfer, code: int) -> None:
        self._multi.remove_handle(transfer.curl)
        self._active.discard(transfer)
        self._done.append((transfer.ticket, transfer.finish(code)))
        self._idle.append(transfer)

    def _check_transfers(self, now: float) -> None:
        """End the transfers that are past a timeout, and count the bytes of the others.

        libcurl's own low-speed limit takes up to twice its time to notice.
        """
        if now - self._checked < CHECK_INTERVAL_S:
            return
        self._checked = now
        for transfer in [transfer for transfer in self._active if transfer.has_timed_out(now)]:
            self._end(transfer, pycurl.E_OPERATION_TIMEDOUT)
        self.memory.in_flight = sum(transfer.size for transfer in self._active)

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000

    def _on_socket(self, what: int, fd: int, multi: object, data: object) -> None:  # noqa: ARG002
        with suppress(KeyError, ValueError, OSError):  # libcurl may name a descriptor that is closed by now
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
