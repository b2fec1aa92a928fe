"""Reading candidates: the steps that their sources ask for, carried out over the wire and on worker threads."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict, deque
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from imagenet_nk.collect import guard, retries
from imagenet_nk.collect.hosts import Hosts, Pace, unasked
from imagenet_nk.collect.inspection import Inspector
from imagenet_nk.collect.one_reading import Judged, Outcome, Reading
from imagenet_nk.collect.presence import REPEATS, Lookout, Presence, Witness
from imagenet_nk.collect.robots import Robots, hop, opted_out
from imagenet_nk.collect.store import Store
from imagenet_nk.collect.transport import Transport
from imagenet_nk.collect.workers import Workers
from imagenet_nk.config import HttpConfig
from imagenet_nk.sources.base import Source
from imagenet_nk.wire import Call, Candidate, Found, Rejected, Request, Response

_BACKLOG = 32  # bodies that wait for a worker, for each of them: more would only be held in memory, out of its caches
_WAITING = 4  # readings that may wait for a time or a host, for each request that may be in flight
_LATE_S, _LATE_TIMES = 1.0, 4.0  # how long is late: at least, and as a multiple of what is usual


class Reader:
    """Carries readings. At most `pace.limit` have a place in flight; memory is bounded by them and what they may hold.

    Who waits, for the time of the next try or for the limits of a host, gives its place to others, and takes one again.
    """

    def __init__(
        self, transport: Transport, hosts: Hosts, pace: Pace, inspector: Inspector, store: Store, workers: int
    ) -> None:
        self._http: HttpConfig = hosts.http
        self._transport, self._hosts, self._pace = transport, hosts, pace
        self._memory = transport.memory
        self._inspector, self._store = inspector, store
        self._robots = Robots(self._http) if self._http.robots_txt else None
        self._workers = Workers(workers, transport.wake)
        self._backlog = _BACKLOG * workers
        self._later: list[tuple[float, Reading]] = []  # heap of those that wait for a time
        self._at_door: defaultdict[str, deque[Reading]] = defaultdict(deque)  # that wait for the limits of a host
        self._outcomes: list[Outcome] = []
        self.web = Presence(self._http)
        self._lookout = Lookout(self.web, hosts, transport)
        self._on_the_way = 0  # requests that the transport has, of readings
        self.in_flight = 0  # readings that have begun and not ended
        self._waiting = 0  # of them, without a place in flight

    @property
    def free(self) -> bool:
        """Whether another candidate may be started."""
        return self._has_place and self._waiting < _WAITING * self._http.concurrency

    @property
    def _has_place(self) -> bool:
        return (
            self.in_flight - self._waiting < self._pace.limit
            and self._workers.waiting < self._backlog
            and self._memory.room > 0
        )

    @property
    def is_cut_off(self) -> bool:
        """Whether the web has gone and does not come back."""
        return self.web.is_gone

    @property
    def late_after(self) -> float:
        """Seconds after which a candidate takes longer than is usual at present."""
        return max(_LATE_S, _LATE_TIMES * self._pace.usual)

    def start(self, candidate: Candidate, source: Source, ticket: Any, taken: Collection[str] = ()) -> None:
        """Start to read a candidate; its outcome comes out of poll(). An image id out of `taken` is `redrawn`."""
        self.in_flight += 1
        reading = Reading(candidate, source, ticket, source.read(candidate), time.monotonic(), taken=taken)
        self._step(reading, None)

    def poll(self, timeout: float) -> list[Outcome]:
        """What has ended, after at most `timeout` seconds of waiting. Raises what a worker could not translate."""
        self._open_doors()
        self.web.tick()
        if self._on_the_way or self.web.is_waiting:
            self._lookout.ask(self.late_after)
        if self._outcomes:
            timeout = 0
        elif self._later and self._has_place:
            timeout = min(timeout, max(0.0, self._later[0][0] - time.monotonic()))
        answers = self._transport.poll(timeout)
        now = time.monotonic()
        for ticket, response in answers:
            if isinstance(ticket, Reading):
                self._arrived(ticket, response, now)
            elif isinstance(ticket, Witness):
                self._lookout.heard(ticket, response)
            elif isinstance(ticket, Request):
                self._ruled(ticket, response, now)
        self._take_up_held(now)
        for reading, result, error in self._workers.ended():
            self._work_done(reading, result, error)
        outcomes, self._outcomes = self._outcomes, []
        self.in_flight -= sum(outcome.final for outcome in outcomes)
        return outcomes

    def close(self) -> None:
        """Drop what is in flight."""
        self._workers.close()
        self._transport.close()

    # --- steps of a source

    def _step(self, reading: Reading, sent: Any, error: Exception | None = None) -> None:
        try:
            step = reading.steps.throw(error) if error else reading.steps.send(sent)
        except StopIteration as end:
            self._came_to(reading, end.value)
            return
        if isinstance(step, Call):
            self._workers.give(reading, step.function)
        else:
            reading.request, reading.retried, reading.doubted, reading.hops = step, 0, 0, 0
            now = time.monotonic()
            if step.wait:
                self._wait_until(now + step.wait, reading)
            else:
                self._send_or_wait(reading, now)

    def _came_to(self, reading: Reading, result: Found | Rejected) -> None:
        if isinstance(result, Found):
            verdict = self._inspector.url_verdict(result.final_url or reading.response.final_url)
            if result.image_id in reading.taken:  # it would overwrite the file of the source that came first
                verdict = Rejected("redrawn")
            if verdict is None:
                reading.found = result
                self._memory.take(len(result.data))
                self._workers.give(reading, partial(self._judge, reading.candidate.wnid, result))
                return
            result = verdict
        self._outcomes.append(Outcome(reading, Judged(result)))

    # --- work on threads

    def _judge(self, wnid: str, found: Found) -> Judged:
        verdict = self._inspector.inspect(found.data)
        if isinstance(verdict, Rejected):
            return Judged(verdict, len(found.data))
        name = f"{found.image_id}.{verdict.extension}"
        if found.path is None:
            self._store.write(wnid, name, found.data)
        return Judged(verdict, len(found.data), name)

    def _work_done(self, reading: Reading, result: Any, error: Exception | None) -> None:
        if reading.found is None:
            self._step(reading, result, error)
        elif error:
            raise error
        else:
            found = reading.found
            self._memory.give(len(found.data))
            reading.found = Found(found.image_id, b"", found.final_url, found.path)
            self._outcomes.append(Outcome(reading, result))

    # --- requests

    def _wait_until(self, at: float, reading: Reading) -> None:
        self._waiting += 1
        heapq.heappush(self._later, (at, reading))

    def _send_or_wait(self, reading: Reading, now: float) -> None:
        if not self._send(reading, now):
            self._waiting += 1
            self._at_door[reading.host].append(reading)

    def _open_doors(self) -> None:
        """Send the requests whose time has come and whose hosts have room, as far as there are places."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now and self._has_place:
            self._waiting -= 1
            self._send_or_wait(heapq.heappop(self._later)[1], now)
        for host in list(self._at_door):
            waiting = self._at_door[host]
            while waiting and self._has_place and (self._hosts.given_up(host) or self._hosts.ready(host, now)):
                self._waiting -= 1
                self._send_or_wait(waiting.popleft(), now)
            if not waiting:
                del self._at_door[host]

    def _send(self, reading: Reading, now: float) -> bool:
        request = reading.request
        if request is None:
            return True
        if guard.url_refusal(request.url):
            self._step(reading, Response(0, fault="bad_url", final_url=request.url))
            return True
        reading.host = guard.host_key(request.url)
        if fault := self._hosts.given_up(reading.host):
            self._step(reading, unasked(fault, request.url))
            return True
        if self._robots and (answer := self._robots.ask(request.url, reading)) is not True:
            if isinstance(answer, Request):
                rules = replace(answer, origin=request.origin)
                self._transport.submit(rules, rules)
            elif answer is False:
                self._step(reading, Response(0, fault="robots", final_url=request.url))
            return True
        if not self._hosts.ready(reading.host, now):
            return False
        self._hosts.started(reading.host, now)
        self._on_the_way += 1
        reading.request_started = now
        reading.tries += 1
        # Less patience for a try that is not the last: most of what is late at all will never come.
        patience = self._http.stall / (2 if reading.retried < self._http.retries else 1)
        self._transport.submit(replace(request, patience=patience, follow=self._robots is None), reading)
        return True

    def _ruled(self, request: Request, response: Response, now: float) -> None:
        """Go on with those who waited for a host's robots.txt, unless it failed because the web was gone."""
        self.web.note(response, guard.host_key(request.url), request.url)
        if self.web.holds(response):
            self.web.hold(request, response, response.seconds, again=True)
        else:
            self._let_in(request, response, now)

    def _let_in(self, request: Request, response: Response, now: float) -> None:
        for reading in self._robots.learn(request.url, response) if self._robots else ():
            self._send_or_wait(reading, now)

    def _arrived(self, reading: Reading, response: Response, now: float) -> None:
        self._on_the_way -= 1
        self._hosts.over(reading.host, reading.request_started, now)
        url = reading.request.url if reading.request and not reading.source.one_place else ""
        self.web.note(response, reading.host, url)
        if url and self.web.holds(response):  # a source in one place says itself what is wrong with that
            self._hosts.doubted(reading.host, now)
            seconds, again = now - reading.request_started, reading.doubted > 0
            self.web.hold(reading, response, seconds, again=again, host=reading.host, url=url)
        else:
            self._answered(reading, response, now)

    def _take_up_held(self, now: float) -> None:
        """Go on with failures of which it is known by now whether the web was there: if not, they are none."""
        for failure, counts in self.web.settled():
            reading: Reading | Request = failure.ticket
            if isinstance(reading, Request):
                self._let_in(reading, failure.response, now) if counts else self._transport.submit(reading, reading)
            elif counts or reading.doubted == REPEATS:
                self._answered(reading, failure.response, now)
            else:
                reading.doubted += 1
                self._record_try(reading, failure.response)
                self._wait_until(now, reading)

    def _record_try(self, reading: Reading, response: Response) -> None:
        """Put a failure on record that is not the end of its candidate."""
        reading.response = response.without_body()  # many may wait, and a server's excuse can be long
        reason = response.fault or f"http_{response.status}"
        self._outcomes.append(Outcome(replace(reading), Judged(Rejected(reason, transient=True)), final=False))

    def _answered(self, reading: Reading, response: Response, now: float) -> None:
        pause = retries.asked_pause(response)
        if pause > self._http.max_pause:
            self._hosts.sent_away(reading.host, f"http_{response.status}", reading.request_started, now)
        else:
            self._hosts.said(reading.host, response, reading.request_started, now)
            self._hosts.pause(reading.host, now + pause)
        if self._try_again(reading, response, pause):
            reading.retried += 1
            self._record_try(reading, response)
            wait = max(pause, retries.backoff(self._http.backoff, reading.retried))
            self._wait_until(now + wait, reading)
            return
        if not response.fault and response.body:
            first_byte = response.seconds - response.body_seconds
            self._pace.note(first_byte, response.body_seconds, wanted=not self._workers.waiting)
        reading.response = response.without_body()
        if opted_out(response.headers, self._http.respect_opt_out):
            response = reading.response = replace(reading.response, fault="opt_out")
        if self._robots and reading.request:
            step = hop(reading.request, response, self._http.max_redirects - reading.hops)
            if isinstance(step, Request):
                reading.request, reading.retried, reading.doubted, reading.hops = step, 0, 0, reading.hops + 1
                self._send_or_wait(reading, now)
                return
            response = step
        self._step(reading, response)

    def _try_again(self, reading: Reading, response: Response, pause: float) -> bool:
        return (
            retries.retryable(response)
            and reading.retried < self._http.retries
            and pause <= self._http.max_pause
            and not self._hosts.get(reading.host).aside
        )
