"""Reading candidates: the steps that their sources ask for, carried out over the wire and on worker threads."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from functools import partial
from typing import Any

from imagenet_nk.collect.fetching.http_requests import RequestQueue
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.collect.fetching.thread_pool import InspectionPool, single_step
from imagenet_nk.collect.fetching.work_item import CandidateRead, InspectionResult, ReadOutcome
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Transport
from imagenet_nk.reasons import Reason
from imagenet_nk.sources.contract import BlockingCall, Candidate, FetchedImage, Rejected, Source

_BACKLOG = 32  # bodies that wait for a worker, for each of them: more would only be held in memory, out of its caches
_WAITING = 4  # readings that may wait for a time or a host, for each request that may be in flight
_LATE_S, _LATE_TIMES = 1.0, 4.0  # how long is late: at least, and as a multiple of what is usual


class Reader:
    """Carries readings. At most `pace.limit` have a place in flight: they and what they may hold bound the memory."""

    def __init__(
        self,
        transport: Transport,
        hosts: HostTable,
        pace: CongestionWindow,
        inspector: Inspector,
        store: ImageStore,
        workers: int,
    ) -> None:
        self._transport, self._pace = transport, pace
        self._memory = transport.memory
        self._inspector, self._store = inspector, store
        self._requests = RequestQueue(transport, hosts, self._has_place)
        self._workers = InspectionPool(workers, transport.wake)
        self._backlog = _BACKLOG * workers
        self._most_waiting = _WAITING * hosts.http.concurrency
        self._outcomes: list[ReadOutcome] = []
        self.in_flight = 0  # readings that have begun and not ended

    @property
    def free(self) -> bool:
        """Whether another candidate may be started."""
        return self._has_place() and self._requests.waiting < self._most_waiting

    def _has_place(self) -> bool:
        return (
            self.in_flight - self._requests.waiting < self._pace.limit
            and self._workers.waiting < self._backlog
            and self._memory.room > 0
        )

    @property
    def web(self) -> ConnectivityMonitor:
        """Whether it is there, as far as this reader has met it."""
        return self._requests.web

    @property
    def late_after(self) -> float:
        """Seconds after which a candidate takes longer than is usual at present."""
        return max(_LATE_S, _LATE_TIMES * self._pace.typical_latency)

    def start(self, candidate: Candidate, source: Source, ticket: Any, existing_ids: Collection[str] = ()) -> None:
        """Start to read a candidate; its outcome comes out of poll(). An image id out of `taken` is `redrawn`."""
        self.in_flight += 1
        reading = CandidateRead(
            candidate, source, ticket, source.read(candidate), time.monotonic(), existing_ids=existing_ids
        )
        self._step(reading, None)

    def poll(self, timeout: float) -> list[ReadOutcome]:
        """What has ended, after at most `timeout` seconds of waiting. Raises what a worker could not translate."""
        answers = self._requests.poll(0 if self._outcomes else timeout, self.late_after)
        self._outcomes += self._requests.tries()
        for reading, response in answers:
            if not response.fault and response.body:
                first_byte = response.seconds - response.body_seconds
                self._pace.observe(first_byte, response.body_seconds, may_grow=not self._workers.waiting)
            self._step(reading, response)
        for reading, result, error in self._workers.ended():
            self._on_work_done(reading, result, error)
        outcomes, self._outcomes = self._outcomes, []
        self.in_flight -= sum(outcome.final for outcome in outcomes)
        return outcomes

    def close(self) -> None:
        """Drop what is in flight."""
        self._workers.close()
        self._transport.close()

    # --- steps of a source

    def _step(self, reading: CandidateRead, sent: Any, error: Exception | None = None) -> None:
        try:
            step = reading.steps.throw(error) if error else reading.steps.send(sent)
        except StopIteration as end:
            self._on_source_result(reading, end.value)
            return
        if isinstance(step, BlockingCall):
            self._workers.give(reading, single_step(step.function))
        else:
            self._requests.ask(reading, step)

    def _on_source_result(self, reading: CandidateRead, result: FetchedImage | Rejected) -> None:
        if isinstance(result, FetchedImage):
            verdict = self._inspector.url_verdict(result.final_url or reading.response.final_url)
            if result.image_id in reading.existing_ids:  # it would overwrite the file of the source that came first
                verdict = Rejected(Reason.REDRAWN)
            if verdict is None:
                reading.found = result
                self._memory.take(len(result.data))
                self._workers.give(reading, partial(self._judge, reading.candidate.wnid, result))
                return
            result = verdict
        self._outcomes.append(ReadOutcome(reading, InspectionResult(result)))

    # --- work on threads

    def _judge(self, wnid: str, found: FetchedImage) -> Generator[None, None, InspectionResult]:
        verdict = yield from self._inspector.inspect_steps(found.data)
        if isinstance(verdict, Rejected):
            return InspectionResult(verdict, len(found.data))
        name = f"{found.image_id}.{verdict.extension}"
        yield
        if found.path is None:
            self._store.write(wnid, name, found.data)
        return InspectionResult(verdict, len(found.data), name)

    def _on_work_done(self, reading: CandidateRead, result: Any, error: Exception | None) -> None:
        if reading.found is None:
            self._step(reading, result, error)
        elif error:
            raise error
        else:
            found = reading.found
            self._memory.give(len(found.data))
            reading.found = FetchedImage(found.image_id, b"", found.final_url, found.path)
            self._outcomes.append(ReadOutcome(reading, result))
