"""Reading candidates: runs the steps that their sources yield, over HTTP and on threads."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from dataclasses import replace
from functools import partial
from typing import Any

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.http_requests import RequestQueue
from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector
from imagenet_nk.collect.fetching.thread_pool import InspectionPool, single_step
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Transport
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import BlockingCall, FetchedImage

_BACKLOG = 32  # bodies that may wait for each inspection thread
_WAITING = 4  # readings that may wait for a time or a host, per request that may be in flight
_SLOW_S, _SLOW_FACTOR = 1.0, 4.0  # when a reading counts as slow: seconds at least, multiples of the typical latency


class Reader:
    """Runs readings. At most `window.limit` are in flight, which bounds connections and memory."""

    def __init__(
        self,
        transport: Transport,
        hosts: HostTable,
        window: CongestionWindow,
        inspector: Inspector,
        store: ImageStore,
        threads: int,
    ) -> None:
        self._transport, self._window = transport, window
        self._memory = transport.memory
        self._inspector, self._store = inspector, store
        self._requests = RequestQueue(transport, hosts, self._has_slot)
        self._pool = InspectionPool(threads, transport.wake)
        self._max_backlog = _BACKLOG * threads
        self._max_waiting = _WAITING * hosts.http.concurrency
        self._ended: list[CandidateRead] = []
        self.in_flight = 0  # readings that have begun and not ended

    @property
    def has_capacity(self) -> bool:
        """Whether another candidate may be started."""
        return self._has_slot() and self._requests.waiting < self._max_waiting

    def _has_slot(self) -> bool:
        return (
            self.in_flight - self._requests.waiting < self._window.limit
            and self._pool.waiting < self._max_backlog
            and not self._memory.is_full
        )

    @property
    def connectivity(self) -> ConnectivityMonitor:
        return self._requests.connectivity

    @property
    def slow_threshold(self) -> float:
        """Seconds after which a reading counts as slow."""
        return max(_SLOW_S, _SLOW_FACTOR * self._window.typical_latency)

    def start(self, read: CandidateRead, existing_ids: Collection[str] = ()) -> None:
        """Start to read a candidate, which comes out of poll(). An image id among `existing_ids` is `redrawn`."""
        self.in_flight += 1
        read.started, read.existing_ids = time.monotonic(), existing_ids
        read.steps = read.source.read(read.candidate)
        self._step(read, None)

    def poll(self, timeout: float) -> list[CandidateRead]:
        """Readings that have ended and copies of those that repeat a request, after at most `timeout` seconds.

        Raises what a thread could not translate.
        """
        answers = self._requests.poll(0 if self._ended else timeout, self.slow_threshold)
        self._ended += self._requests.drain_retries()
        for read, response in answers:
            if not response.fault and response.body:
                first_byte = response.seconds - response.body_seconds
                self._window.observe(first_byte, response.body_seconds, may_grow=not self._pool.waiting)
            self._step(read, response)
        for read, result, error in self._pool.completed():
            self._on_work_done(read, result, error)
        ended, self._ended = self._ended, []
        self.in_flight -= sum(read.is_final for read in ended)
        return ended

    def close(self) -> None:
        """Drop what is in flight."""
        self._pool.close()
        self._transport.close()

    # --- steps of a source

    def _step(self, read: CandidateRead, sent: Any, error: Exception | None = None) -> None:
        if read.steps is None:
            return
        try:
            step = read.steps.throw(error) if error else read.steps.send(sent)
        except StopIteration as end:
            self._on_source_result(read, end.value)
            return
        if isinstance(step, BlockingCall):
            self._pool.submit(read, single_step(step.function))
        else:
            self._requests.request(read, step)

    def _on_source_result(self, read: CandidateRead, result: FetchedImage | Rejected) -> None:
        if isinstance(result, FetchedImage):
            verdict = self._inspector.url_verdict(result.final_url or read.response.final_url)
            if result.image_id in read.existing_ids:  # it would overwrite the file of the source that came first
                verdict = Rejected(Reason.REDRAWN)
            if verdict is None:
                read.image, read.size = result, len(result.data)
                self._memory.acquire(read.size)
                self._pool.submit(read, partial(self._inspect_and_store, read.candidate.wnid, result))
                return
            result = verdict
        read.verdict = result
        self._ended.append(read)

    # --- work on threads

    def _inspect_and_store(self, wnid: str, image: FetchedImage) -> Generator[None, None, ImageInfo | Rejected]:
        verdict = yield from self._inspector.inspect_steps(image.data)
        if isinstance(verdict, ImageInfo):
            yield
            if image.path is None:
                self._store.write(wnid, verdict.file_name(image.image_id), image.data)
        return verdict

    def _on_work_done(self, read: CandidateRead, result: Any, error: Exception | None) -> None:
        if read.image is None:
            self._step(read, result, error)
        elif error:
            raise error
        else:
            self._memory.release(read.size)
            read.image, read.verdict = replace(read.image, data=b""), result
            self._ended.append(read)
