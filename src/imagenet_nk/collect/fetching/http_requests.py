"""Requests of readings, carried to their answers: when each may be sent, tried again, followed, or taken for one."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace

from imagenet_nk.collect.fetching.work_item import CandidateRead, InspectionResult, ReadOutcome
from imagenet_nk.net import retry_policy, url_guard
from imagenet_nk.net.connectivity import REPEATS, ConnectivityMonitor, ConnectivityProber, ProbeTarget
from imagenet_nk.net.host_table import HostTable, host_down_response
from imagenet_nk.net.http import Request, Response, Transport
from imagenet_nk.net.robots import Robots, has_opted_out, next_redirect
from imagenet_nk.reasons import Reason, http_reason
from imagenet_nk.sources.contract import Rejected


class RequestQueue:
    """Asks for readings, within the limits of hosts.

    Who waits, for the time of the next try or for the limits of a host, gives its place to others, and takes one again.
    """

    def __init__(self, transport: Transport, hosts: HostTable, has_place: Callable[[], bool]) -> None:
        """`has_place`: whether another request may be in flight."""
        self._http = hosts.http
        self._transport, self._hosts, self._has_place = transport, hosts, has_place
        self._robots = Robots(self._http) if self._http.robots_txt else None
        self.web = ConnectivityMonitor(self._http)
        self._lookout = ConnectivityProber(self.web, hosts, transport)
        self._later: list[tuple[float, CandidateRead]] = []  # heap of those that wait for a time
        self._waiting_for_host: defaultdict[str, deque[CandidateRead]] = defaultdict(
            deque
        )  # that wait for the limits of a host
        self._on_the_way = 0  # requests that the transport has, of readings
        self.waiting = 0  # readings without a place in flight
        self._answers: list[tuple[CandidateRead, Response]] = []
        self._tries: list[ReadOutcome] = []

    def ask(self, reading: CandidateRead, request: Request) -> None:
        """Ask for a reading; the answer comes out of poll(), whatever it is."""
        reading.request, reading.retried, reading.outage_retries, reading.hops = request, 0, 0, 0
        now = time.monotonic()
        if request.delay:
            self._wait_until(now + request.delay, reading)
        else:
            self._send_or_wait(reading, now)

    def poll(self, timeout: float, late_after: float) -> list[tuple[CandidateRead, Response]]:
        """Answers, after at most `timeout` seconds of waiting. `late_after`: seconds that are longer than usual."""
        self._send_ready()
        self.web.tick()
        if self._on_the_way or self.web.has_held:
            self._lookout.ask(late_after)
        if self._answers:
            timeout = 0
        elif self._later and self._has_place():
            timeout = min(timeout, max(0.0, self._later[0][0] - time.monotonic()))
        arrived = self._transport.poll(timeout)
        now = time.monotonic()
        for ticket, response in arrived:
            if isinstance(ticket, CandidateRead):
                self._arrived(ticket, response, now)
            elif isinstance(ticket, ProbeTarget):
                self._lookout.heard(ticket, response)
            elif isinstance(ticket, Request):
                self._on_robots_txt(ticket, response, now)
        self._resolve_held(now)
        answers, self._answers = self._answers, []
        return answers

    def tries(self) -> list[ReadOutcome]:
        """Failures since the last call that are not the end of their candidates: for the ledger."""
        tries, self._tries = self._tries, []
        return tries

    # --- sending

    def _wait_until(self, at: float, reading: CandidateRead) -> None:
        self.waiting += 1
        heapq.heappush(self._later, (at, reading))

    def _send_or_wait(self, reading: CandidateRead, now: float) -> None:
        if not self._send(reading, now):
            self.waiting += 1
            self._waiting_for_host[reading.host].append(reading)

    def _send_ready(self) -> None:
        """Send the requests whose time has come and whose hosts have room, as far as there are places."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now and self._has_place():
            self.waiting -= 1
            self._send_or_wait(heapq.heappop(self._later)[1], now)
        for host in list(self._waiting_for_host):
            waiting = self._waiting_for_host[host]
            while waiting and self._has_place() and (self._hosts.down_reason(host) or self._hosts.can_start(host, now)):
                self.waiting -= 1
                self._send_or_wait(waiting.popleft(), now)
            if not waiting:
                del self._waiting_for_host[host]

    def _send(self, reading: CandidateRead, now: float) -> bool:
        request = reading.request
        if request is None:
            return True
        if url_guard.url_block_reason(request.url):
            self._answers.append((reading, Response(0, fault=Reason.BAD_URL, final_url=request.url)))
            return True
        reading.host = url_guard.host_key(request.url)
        if fault := self._hosts.down_reason(reading.host):
            self._answers.append((reading, host_down_response(fault, request.url)))
            return True
        if self._robots and (answer := self._robots.check(request.url, reading)) is not True:
            if isinstance(answer, Request):
                rules = replace(answer, origin=request.origin)
                self._transport.submit(rules, rules)
            elif answer is False:
                self._answers.append((reading, Response(0, fault=Reason.ROBOTS, final_url=request.url)))
            return True
        if not self._hosts.can_start(reading.host, now):
            return False
        self._hosts.acquire(reading.host, now)
        self._on_the_way += 1
        reading.request_started = now
        reading.tries += 1
        # A try that is not the last gets half the time: most responses that are late never come.
        first_byte_timeout = self._http.first_byte_timeout / (2 if reading.retried < self._http.retries else 1)
        self._transport.submit(
            replace(request, first_byte_timeout=first_byte_timeout, follow=self._robots is None), reading
        )
        return True

    # --- what comes back

    def _on_robots_txt(self, request: Request, response: Response, now: float) -> None:
        """Go on with those who waited for a host's robots.txt, unless it failed because the web was gone."""
        self.web.on_response(response, url_guard.host_key(request.url), request.url)
        if self.web.should_hold(response):
            self.web.hold(request, response, response.seconds, again=True)
        else:
            self._resume_after_robots(request, response, now)

    def _resume_after_robots(self, request: Request, response: Response, now: float) -> None:
        for reading in self._robots.load(request.url, response) if self._robots else ():
            self._send_or_wait(reading, now)

    def _arrived(self, reading: CandidateRead, response: Response, now: float) -> None:
        self._on_the_way -= 1
        self._hosts.release(reading.host, reading.request_started, now)
        url = reading.request.url if reading.request and not reading.source.traits.single_origin else ""
        self.web.on_response(response, reading.host, url)
        if url and self.web.should_hold(response):  # a source in one place says itself what is wrong with that
            self._hosts.on_unconfirmed_failure(reading.host, now)
            seconds, again = now - reading.request_started, reading.outage_retries > 0
            self.web.hold(reading, response, seconds, again=again, host=reading.host, url=url)
        else:
            self._answered(reading, response, now)

    def _resolve_held(self, now: float) -> None:
        """Go on with failures of which it is known by now whether the web was there: if not, they are none."""
        for failure, counts in self.web.drain_resolved():
            reading: CandidateRead | Request = failure.ticket
            if isinstance(reading, Request):
                self._resume_after_robots(reading, failure.response, now) if counts else self._transport.submit(
                    reading, reading
                )
            elif counts or reading.outage_retries == REPEATS:
                self._answered(reading, failure.response, now)
            else:
                reading.outage_retries += 1
                self._record_try(reading, failure.response)
                self._wait_until(now, reading)

    def _record_try(self, reading: CandidateRead, response: Response) -> None:
        """Put a failure on record that is not the end of its candidate."""
        reading.response = response.without_body()  # many may wait, and a server's excuse can be long
        reason = response.fault or http_reason(response.status)
        self._tries.append(
            ReadOutcome(replace(reading), InspectionResult(Rejected(reason, transient=True)), final=False)
        )

    def _answered(self, reading: CandidateRead, response: Response, now: float) -> None:
        pause = retry_policy.retry_after_seconds(response)
        if pause > self._http.max_pause:
            self._hosts.on_long_retry_after(reading.host, http_reason(response.status), reading.request_started, now)
        else:
            self._hosts.on_response(reading.host, response, reading.request_started, now)
            self._hosts.pause(reading.host, now + pause)
        if self._try_again(reading, response, pause):
            reading.retried += 1
            self._record_try(reading, response)
            wait = max(pause, retry_policy.backoff_seconds(self._http.backoff, reading.retried))
            self._wait_until(now + wait, reading)
            return
        reading.response = response.without_body()
        if has_opted_out(response.headers, self._http.respect_opt_out):
            response = reading.response = replace(reading.response, fault=Reason.OPT_OUT)
        if self._robots and reading.request:
            step = next_redirect(reading.request, response, self._http.max_redirects - reading.hops)
            if isinstance(step, Request):
                reading.request, reading.retried, reading.outage_retries, reading.hops = step, 0, 0, reading.hops + 1
                self._send_or_wait(reading, now)
                return
            response = step
        self._answers.append((reading, response))

    def _try_again(self, reading: CandidateRead, response: Response, pause: float) -> bool:
        return (
            retry_policy.is_retryable(response)
            and reading.retried < self._http.retries
            and pause <= self._http.max_pause
            and not self._hosts.get(reading.host).is_suspended
        )
