"""The requests of readings: limits of hosts, repetitions, redirects, robots.txt, outages."""

from __future__ import annotations

import copy
import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.net import retry_policy, url_guard
from imagenet_nk.net.connectivity import MAX_OUTAGE_RETRIES, ConnectivityMonitor, ConnectivityProber, ProbeTarget
from imagenet_nk.net.host_table import HostTable, host_down_response
from imagenet_nk.net.http import MAX_REDIRECTS, Request, Response, Transport
from imagenet_nk.net.robots import Robots, has_opted_out, next_redirect
from imagenet_nk.reasons import Reason, Rejected, http_reason


class RequestQueue:
    """Sends the requests of readings within the limits of their hosts.

    A reading that waits, for a time or for its host, gives up its slot in flight and takes one again afterwards.
    """

    def __init__(self, transport: Transport, hosts: HostTable, has_slot: Callable[[], bool]) -> None:
        """`has_slot`: whether another request may be in flight."""
        self._http = hosts.http
        self._transport, self._hosts, self._has_slot = transport, hosts, has_slot
        self._robots = Robots(self._http) if self._http.robots_txt else None
        self.connectivity = ConnectivityMonitor(self._http)
        self._prober = ConnectivityProber(self.connectivity, hosts, transport)
        self._delayed: list[tuple[float, CandidateRead]] = []  # heap by the time when they may go on
        self._waiting_for_host: defaultdict[str, deque[CandidateRead]] = defaultdict(deque)
        self._in_transport = 0  # requests of readings
        self.waiting = 0  # readings without a slot in flight
        self._answers: list[tuple[CandidateRead, Response]] = []
        self._retries: list[CandidateRead] = []

    def request(self, read: CandidateRead, request: Request) -> None:
        """Send a request of a reading; the answer comes out of poll(), whatever it is."""
        self._set_request(read, request, hops=0)
        now = time.monotonic()
        if request.delay:
            self._delay(now + request.delay, read)
        else:
            self._send_or_wait(read, now)

    def poll(self, timeout: float, slow_threshold: float) -> list[tuple[CandidateRead, Response]]:
        """Answers, after at most `timeout` seconds. `slow_threshold`: seconds after which an answer is late."""
        self._send_ready()
        self.connectivity.tick()
        if self._in_transport or self.connectivity.has_held:
            self._prober.probe(slow_threshold)
        if self._answers:
            timeout = 0
        elif self._delayed and self._has_slot():
            timeout = min(timeout, max(0.0, self._delayed[0][0] - time.monotonic()))
        arrived = self._transport.poll(timeout)
        now = time.monotonic()
        for context, response in arrived:
            if isinstance(context, CandidateRead):
                self._on_response(context, response, now)
            elif isinstance(context, ProbeTarget):
                self._prober.on_response(context, response)
            elif isinstance(context, Request):
                self._on_robots_txt(context, response, now)
        self._resolve_held(now)
        answers, self._answers = self._answers, []
        return answers

    def drain_retries(self) -> list[CandidateRead]:
        """Copies of readings whose request failed and is repeated, since the last call: for the ledger."""
        retries, self._retries = self._retries, []
        return retries

    # --- sending

    @staticmethod
    def _set_request(read: CandidateRead, request: Request, hops: int) -> None:
        read.request, read.retries, read.outage_retries, read.hops = request, 0, 0, hops

    def _delay(self, until: float, read: CandidateRead) -> None:
        self.waiting += 1
        heapq.heappush(self._delayed, (until, read))

    def _send_or_wait(self, read: CandidateRead, now: float) -> None:
        if read.request and not self._send(read, read.request, now):
            self.waiting += 1
            self._waiting_for_host[read.request_host].append(read)

    def _send_ready(self) -> None:
        """Send the requests whose time has come and whose hosts have capacity, as far as there are slots."""
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now and self._has_slot():
            self.waiting -= 1
            self._send_or_wait(heapq.heappop(self._delayed)[1], now)
        for host in list(self._waiting_for_host):
            waiting = self._waiting_for_host[host]
            while waiting and self._has_slot() and self._hosts.admission(host, now).is_decided:
                self.waiting -= 1
                self._send_or_wait(waiting.popleft(), now)
            if not waiting:
                del self._waiting_for_host[host]

    def _send(self, read: CandidateRead, request: Request, now: float) -> bool:
        """Send a request or answer it without sending; False if its host has no capacity."""
        if url_guard.url_block_reason(request.url):
            self._answers.append((read, Response(0, fault=Reason.BAD_URL, final_url=request.url)))
            return True
        read.request_host = url_guard.host_key(request.url)
        admission = self._hosts.admission(read.request_host, now)
        if admission.down_reason:
            self._answers.append((read, host_down_response(admission.down_reason, request.url)))
            return True
        if self._robots and (answer := self._robots.check(request.url, read)) is not True:
            if isinstance(answer, Request):
                robots_request = replace(answer, origin=request.origin)
                self._transport.submit(robots_request, robots_request)
            elif answer is False:
                self._answers.append((read, Response(0, fault=Reason.ROBOTS, final_url=request.url)))
            return True
        if not admission.can_start:
            return False
        self._hosts.acquire(read.request_host, now)
        self._in_transport += 1
        read.request_started = now
        read.tries += 1
        # A try that is not the last gets half the time: most responses that are late never come.
        timeout = self._http.first_byte_timeout / (2 if read.retries < self._http.retries else 1)
        self._transport.submit(replace(request, first_byte_timeout=timeout, follow=self._robots is None), read)
        return True

    # --- responses

    def _on_robots_txt(self, request: Request, response: Response, now: float) -> None:
        """Resume the readings that waited for a host's robots.txt, unless an outage may explain its failure."""
        self.connectivity.on_response(response, url_guard.host_key(request.url), request.url)
        if self.connectivity.should_hold(response):
            self.connectivity.hold(request, response, response.seconds, is_repeat=True)
        else:
            self._resume_after_robots(request, response, now)

    def _resume_after_robots(self, request: Request, response: Response, now: float) -> None:
        for read in self._robots.load(request.url, response) if self._robots else ():
            self._send_or_wait(read, now)

    def _on_response(self, read: CandidateRead, response: Response, now: float) -> None:
        self._in_transport -= 1
        self._hosts.release(read.request_host, read.request_started, now)
        url = read.request.url if read.request and not read.source.traits.single_origin else ""
        self.connectivity.on_response(response, read.request_host, url)
        if url and self.connectivity.should_hold(response):  # a source of a single origin handles failures itself
            self._hosts.on_unconfirmed_failure(read.request_host, now)
            seconds, is_repeat = now - read.request_started, read.outage_retries > 0
            self.connectivity.hold(read, response, seconds, is_repeat=is_repeat, host=read.request_host, url=url)
        else:
            self._on_confirmed_response(read, response, now)

    def _resolve_held(self, now: float) -> None:
        """Go on with failures of which it is known by now whether there was an outage: then they do not count."""
        for failure, counts in self.connectivity.drain_resolved():
            context: CandidateRead | Request = failure.ticket
            if isinstance(context, Request):
                if counts:
                    self._resume_after_robots(context, failure.response, now)
                else:
                    self._transport.submit(context, context)
            elif counts or context.outage_retries == MAX_OUTAGE_RETRIES:
                self._on_confirmed_response(context, failure.response, now)
            else:
                context.outage_retries += 1
                self._note_retry(context, failure.response)
                self._delay(now, context)

    def _note_retry(self, read: CandidateRead, response: Response) -> None:
        """Record a failure that is not the end of its candidate."""
        read.response = response.without_body()  # many may wait, and an error page can be long
        failed = copy.copy(read)
        failed.verdict = Rejected(response.fault or http_reason(response.status), transient=True)
        failed.is_final = False
        self._retries.append(failed)

    def _on_confirmed_response(self, read: CandidateRead, response: Response, now: float) -> None:
        pause = retry_policy.retry_after_seconds(response)
        if pause > retry_policy.MAX_PAUSE_S:
            reason = http_reason(response.status)
            self._hosts.on_long_retry_after(read.request_host, reason, read.request_started, now)
        else:
            self._hosts.on_response(read.request_host, response, read.request_started, now)
            self._hosts.pause(read.request_host, now + pause)
        if self._should_retry(read, response, pause, now):
            read.retries += 1
            self._note_retry(read, response)
            wait = max(pause, retry_policy.backoff_seconds(read.retries))
            self._delay(now + wait, read)
            return
        read.response = response.without_body()
        if has_opted_out(response.headers, self._http.respect_opt_out):
            response = read.response = replace(read.response, fault=Reason.OPT_OUT)
        if self._robots and read.request:
            step = next_redirect(read.request, response, MAX_REDIRECTS - read.hops)
            if isinstance(step, Request):
                self._set_request(read, step, read.hops + 1)
                self._send_or_wait(read, now)
                return
            response = step
        self._answers.append((read, response))

    def _should_retry(self, read: CandidateRead, response: Response, pause: float, now: float) -> bool:
        return (
            retry_policy.is_retryable(response)
            and read.retries < self._http.retries
            and pause <= retry_policy.MAX_PAUSE_S
            and not self._hosts.admission(read.request_host, now).is_suspended
        )
